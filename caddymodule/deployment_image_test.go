package caddymodule_test

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The Containerfile of docs/deploy.

// lastStage returns the lines of its last stage, which is the image, by their instructions.
func lastStage(t *testing.T) map[string][]string {
	t.Helper()
	known := strings.Fields("FROM WORKDIR COPY RUN ENV VOLUME USER EXPOSE HEALTHCHECK ENTRYPOINT CMD")
	last := map[string][]string{}
	for line := range strings.Lines(deployFile(t, "Containerfile")) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case instruction == "" || instruction == "#":
			continue
		case !slices.Contains(known, instruction):
			t.Errorf("unknown: %s", line)
		case instruction == "FROM":
			clear(last)
		}
		last[instruction] = append(last[instruction], rest)
	}
	return last
}

// words returns a list in JSON, which is what needs no shell.
func words(t *testing.T, form []string) (list []string) {
	t.Helper()
	_, bare, ok := strings.Cut(form[0], " CMD ") // of HEALTHCHECK
	if !ok {
		bare = form[0]
	}
	if err := json.Unmarshal([]byte(bare), &list); err != nil || len(list) == 0 || len(form) != 1 {
		t.Fatalf("%s: %v", form, err)
	}
	return list
}

// TestDeploymentContainerfile requires that the image has no shell and no root, and that what its
// health check asks is a command of the program.
func TestDeploymentContainerfile(t *testing.T) {
	last := lastStage(t)
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(repositoryFile(t, "go.mod"))[1]
	if !strings.Contains(deployFile(t, "Containerfile"), "FROM docker.io/library/golang:"+goVersion+" AS build\n") {
		t.Errorf("it does not build with Go %s", goVersion)
	}
	if last["FROM"][0] != "scratch" || !slices.Equal(last["USER"], []string{"65532:65532"}) || last["RUN"] != nil {
		t.Errorf("the image is %v", last)
	}
	health := words(t, last["HEALTHCHECK"])
	if health[0] != words(t, last["ENTRYPOINT"])[0] {
		t.Errorf("the health check runs %v", health)
	}
	if _, err := parseCommand(" " + strings.Join(health[1:], " ")); err != nil {
		t.Error(err)
	}
}

// TestDeploymentContainerfileBuilds runs the go build of the Containerfile, which is that of the
// README but for cgo: the image has no C library. What it builds is run as in the image.
func TestDeploymentContainerfileBuilds(t *testing.T) {
	found := regexp.MustCompile(`(?m)^RUN CGO_ENABLED=0 go (build (-tags=\S+) -o) /out/caddy (\S+)$`).FindStringSubmatch(deployFile(t, "Containerfile"))
	if found == nil {
		t.Fatal("there is no go build")
	}
	if readme := repositoryFile(t, "README.md"); !strings.Contains(readme, "go build "+found[2]+" -o quickstart/caddy "+found[3]+" ") {
		t.Errorf("README.md does not build %s with %s", found[3], found[2])
	}
	if !programWanted("container") {
		t.Skip("set TEST_CONTAINER=1 to run it")
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "caddy")
	cmd := exec.Command("go", append(strings.Fields(found[1]), out, found[3])...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	program, err := elf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = program.Close() }()
	if program.Section(".interp") != nil {
		t.Error("it is not static")
	}
	if said, err := exec.Command(out, "list-modules").Output(); err != nil || !bytes.Contains(said, []byte("http.handlers.oauth_verify\n")) {
		t.Errorf("%v: %s", err, said)
	}
	t.Run("image", func(t *testing.T) { runAsImage(t, dir) })
}

// runAsImage runs the program of a folder in namespaces whose files are those of the image, which
// cannot be written, with the Caddyfile that the page describes, until the health check is content.
// There is no /tmp: that podman makes one is not in the image.
func runAsImage(t *testing.T, dir string) {
	bwrap := needed(t, "bwrap")
	if said, err := exec.Command(bwrap, "--unshare-all", "--ro-bind", "/", "/", "true").CombinedOutput(); err != nil {
		lacks(t, "this machine has no namespaces for it: ", err, ": ", string(said))
	}
	last := lastStage(t)
	arguments := append(append(layOutImage(t, dir, last), words(t, last["ENTRYPOINT"])...), words(t, last["CMD"])...)
	info, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = info.Close() }()
	var log bytes.Buffer
	caddy := exec.CommandContext(t.Context(), bwrap, append([]string{"--unshare-all", "--die-with-parent", "--info-fd", "3"}, arguments...)...)
	caddy.ExtraFiles, caddy.Stdout, caddy.Stderr = []*os.File{write}, &log, &log
	if err := caddy.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	var inside struct {
		PID int `json:"child-pid"`
	}
	if err := json.NewDecoder(info).Decode(&inside); err != nil {
		t.Fatal(err)
	}
	enter := append([]string{"--target", fmt.Sprint(inside.PID), "--user", "--net", "--mount", "--preserve-credentials"}, words(t, last["HEALTHCHECK"])...)
	var said []byte
	for range 100 {
		if said, err = exec.Command("nsenter", enter...).CombinedOutput(); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	_ = caddy.Process.Kill()
	_ = caddy.Wait()
	if err != nil || !strings.Contains(string(said), "active") || strings.Contains(log.String(), "read-only file system") {
		t.Errorf("%v: %s\n%s", err, said, &log)
	}
}

// layOutImage makes the files of the image, of which the program is in the folder, and returns the
// arguments of bwrap that say what they are to it.
func layOutImage(t *testing.T, dir string, last map[string][]string) (arguments []string) {
	t.Helper()
	const page = "caddymodule/docs/deployment.md"
	global := "{\n\thttp_port 8080\n\thttps_port 8443\n\tservers {\n\t\tprotocols h1 h2\n\t}\n"
	text := strings.Replace(blocks(t, page, "caddyfile")[0], "{\n", global, 1)
	text = strings.NewReplacer("/run/credentials/caddy-tokenep.service", "/etc/caddy", "/var/lib/caddy", "/data").Replace(text)
	for _, change := range []string{"http_port 8080", "https_port 8443", "protocols h1 h2", "store bolt /data/oauth.db", "{file./etc/caddy/encryption_key}", "{file./etc/caddy/billing}"} {
		if !strings.Contains(text, change+"\n") || !strings.Contains(repositoryFile(t, page), "`"+change+"`") {
			t.Errorf("the page does not say %s", change)
		}
	}
	uid, gid, _ := strings.Cut(last["USER"][0], ":")
	arguments = []string{"--uid", uid, "--gid", gid, "--cap-drop", "ALL", "--clearenv", "--ro-bind", filepath.Join(dir, "root"), "/",
		"--dev", "/dev", "--proc", "/proc"}
	// What is there of any container, and what is copied.
	folders := []string{"root/dev", "root/proc", "root/etc/caddy"}
	for _, line := range last["COPY"] {
		to := strings.Fields(line)[len(strings.Fields(line))-1]
		folders = append(folders, "root"+filepath.Dir(to))
	}
	for _, volume := range words(t, last["VOLUME"]) {
		folders = append(folders, "root"+volume, "volume"+volume)
		arguments = append(arguments, "--bind", filepath.Join(dir, "volume", volume), volume)
	}
	for _, folder := range folders {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(dir, "caddy"), filepath.Join(dir, "root", words(t, last["ENTRYPOINT"])[0])); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "root/etc/hosts"), "127.0.0.1 localhost\n")
	writeFile(t, filepath.Join(dir, "root/etc/caddy/Caddyfile"), text)
	writeFile(t, filepath.Join(dir, "root/etc/caddy/encryption_key"), strings.Repeat("00", 32))
	writeFile(t, filepath.Join(dir, "root/etc/caddy/billing"), "secret of billing")
	for _, variable := range strings.Fields(last["ENV"][0]) {
		name, value, _ := strings.Cut(variable, "=")
		arguments = append(arguments, "--setenv", name, value)
	}
	return arguments
}
