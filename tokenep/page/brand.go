package page

import (
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Brand is how the pages of a site look. The zero value names nobody and has the usual colours.
type Brand struct {
	Name string // of the site, for people

	// Logo is a URI of an image: https, a path, or data:image/….
	Logo string

	// Accent is the colour of buttons and links, such as #0b57d0, and AccentDark that on a dark
	// background.
	Accent, AccentDark string
}

// Validate returns what is wrong with it.
func (b Brand) Validate() error {
	for name, colour := range map[string]string{"accent": b.Accent, "accent_dark": b.AccentDark} {
		if _, err := parseColour(colour); colour != "" && err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if strings.ContainsFunc(b.Name, func(r rune) bool { return r < ' ' }) || len(b.Name) > 100 {
		return errors.New("name: it must be one line of at most 100 bytes")
	}
	return b.validateLogo()
}

func (b Brand) validateLogo() error {
	u, err := url.Parse(b.Logo)
	switch {
	case b.Logo == "":
		return nil
	case err != nil:
		return fmt.Errorf("logo: %w", err)
	case u.Scheme == "data" && strings.HasPrefix(u.Opaque, "image/"),
		u.Scheme == "https" && isPlainHost(u.Host) && u.User == nil,
		u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/") && !strings.HasPrefix(b.Logo, "//"):
		return nil
	}
	return fmt.Errorf("logo: %q must be an https URL, a path that begins with /, or data:image/…", b.Logo)
}

// isPlainHost reports whether a host, and its port, means itself in a policy (CSP 3 §2.3.1), and
// nothing else.
func isPlainHost(host string) bool { return host != "" && !strings.ContainsAny(host, ";,'* ") }

// source returns the source expression of the logo (CSP 3 §2.3.1); empty: there is none.
func (b Brand) source() string {
	u, err := url.Parse(b.Logo)
	switch {
	case b.Logo == "" || err != nil:
		return ""
	case u.Scheme == "data":
		return "data:"
	case u.Host == "":
		return "'self'"
	}
	return u.Scheme + "://" + u.Host
}

// The usual colours. Text on them, and they on the page, have a contrast of 4.5:1 and more (WCAG
// 2.2 §1.4.3).
const (
	accent     = "#0b57d0"
	accentDark = "#a8c7fa"
)

// style returns the variables of the style sheet.
func (b Brand) style() template.CSS {
	light, dark := b.Accent, b.AccentDark
	if light == "" {
		light = accent
	}
	if dark == "" {
		dark = accentDark
	}
	return template.CSS(":root{--accent:" + light + ";--on-accent:" + onColour(light) + "}" +
		"@media(prefers-color-scheme:dark){:root{--accent:" + dark + ";--on-accent:" + onColour(dark) + "}}")
}

// parseColour reads #rrggbb as sRGB.
func parseColour(text string) (rgb [3]float64, err error) {
	digits, found := strings.CutPrefix(text, "#")
	value, err := strconv.ParseUint(digits, 16, 24)
	if !found || err != nil || len(digits) != 6 {
		return rgb, fmt.Errorf("%q must be a colour such as %s", text, accent)
	}
	for i := range rgb {
		rgb[i] = float64(value>>(16-8*i)&0xff) / 255
	}
	return rgb, nil
}

// onColour returns the colour of text on another: black or white, whichever is easier to read (WCAG
// 2.2: relative luminance).
func onColour(text string) string {
	rgb, err := parseColour(text)
	if err != nil { // Validate has parsed it
		return "#ffffff"
	}
	luminance := 0.2126*linear(rgb[0]) + 0.7152*linear(rgb[1]) + 0.0722*linear(rgb[2])
	const even = 0.179 // at which both have the same contrast
	if luminance > even {
		return "#000000"
	}
	return "#ffffff"
}

// linear undoes the gamma of sRGB.
func linear(c float64) float64 {
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}
