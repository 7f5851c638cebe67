package tokenep_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// RFC 6749 §5.1: an answer is written by hand. It has what the fields say that it has, each of
// them, and none that is empty.
func TestRFC6749_5_1_Response(t *testing.T) {
	for name, text := range map[string]string{"plain": "a.b_c-d", "escaped": "\"\\ \x01 <&> \x7f ü \u2028", "not UTF-8": "\xff", "empty": ""} {
		var r tokenep.Response
		for i, v := 0, reflect.ValueOf(&r).Elem(); i < v.NumField(); i++ {
			if f := v.Field(i); f.Kind() == reflect.String {
				f.SetString(text)
			} else {
				f.SetInt(int64(len(text)) * int64(i))
			}
		}
		w := httptest.NewRecorder()
		tokenep.WriteJSON(w, http.StatusOK, &r)
		byLibrary, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v in %s", name, err, w.Body)
		}
		if err := json.Unmarshal(byLibrary, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %s, want %s", name, w.Body, byLibrary)
		}
	}
}
