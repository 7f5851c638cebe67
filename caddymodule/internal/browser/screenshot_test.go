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
// each language. Without it one picture of each is taken, and thrown away.
func TestScreenshots(t *testing.T) {
	folder, schemes, widths := os.Getenv("SCREENSHOTS"), []string{"light", "dark"}, []int64{320, 640, 1024}
	if folder == "" {
		folder, schemes, widths = t.TempDir(), schemes[:1], widths[:1]
	}
	b := newTab(t, true)
	eachPage(t, func(t *testing.T, name, url string) {
		b := &tab{t, b.ctx}
		for _, scheme := range schemes {
			for _, width := range widths {
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
