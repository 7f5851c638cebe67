package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// SCREENSHOTS names a folder for pictures of every page: in light and dark, narrow and wide, in
// each language.
func TestScreenshots(t *testing.T) {
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		t.Skip("they are for people to look at: set SCREENSHOTS to a folder")
	}
	b := newTab(t, true)
	eachPage(t, func(t *testing.T, name, url string) {
		b := &tab{t, b.ctx}
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{320, 640, 1024} {
				b.media("prefers-color-scheme", scheme)
				b.resize(width, 400)
				b.open(url)
				if width != 640 { // which are the pictures of the README
					eval[any](b, "(d => d && (d.open = true))(document.querySelector('details'))")
				}
				picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				file := fmt.Sprintf("%s_%s_%s_%d.png", name, url[strings.LastIndex(url, "=")+1:], scheme, width)
				if err := os.WriteFile(filepath.Join(folder, file), picture, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
