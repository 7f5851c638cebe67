package page_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/page"
)

func TestNew(t *testing.T) {
	s, err := page.New(page.Options{Brand: page.Brand{Name: "Example"}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Language", "de-CH, en;q=0.5")
	s.Show(w, r, http.StatusOK, page.SignIn{Action: "/x"})
	t.Log(w.Body.String())
}
