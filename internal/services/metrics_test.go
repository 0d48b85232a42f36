package services

import (
	"encoding/json"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/stack"
)

func testStatistics(t *testing.T, b *testbed) {
	web := b.browser(t, 1)
	get := func(path string) string {
		resp, err := web.Get(b.url(path))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	get("/nope")
	var s Snapshot
	if err := json.Unmarshal([]byte(get("/stats")), &s); err != nil {
		t.Fatal(err)
	}
	if s.HTTPReplies[404] != 1 || s.Services["http"].Open != 1 || s.Host.TCP.PassiveOpens != 1 {
		t.Errorf("%+v", s)
	}
	text := get("/metrics")
	for _, want := range []string{
		"ringtail_http_replies_total{status=\"404\"} 1\n",
		"ringtail_service_connections{service=\"http\"} 1\n",
		"ringtail_tcp_passive_opens_total 1\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	checkExposition(t, text)
}

// checkExposition holds a text against the grammar of the format.
func checkExposition(t *testing.T, text string) {
	t.Helper()
	comment := regexp.MustCompile(`^# (HELP|TYPE) ([a-z_]+) (.+)$`)
	line := regexp.MustCompile(`^([a-z_]+)(\{[a-z_]+="([^"\\]|\\["\\n])*"(,[a-z_]+="([^"\\]|\\["\\n])*")*\})? ([0-9.e+-]+)$`)
	family, seen := "", map[string]bool{}
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if m := comment.FindStringSubmatch(l); m != nil {
			if m[1] == "HELP" && seen[m[2]] {
				t.Errorf("%s comes twice", m[2])
			}
			family, seen[m[2]] = m[2], true
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil || m[1] != family {
			t.Errorf("bad line %q in family %q", l, family)
			continue
		}
		if _, err := strconv.ParseFloat(m[6], 64); err != nil {
			t.Errorf("bad value in %q", l)
		}
	}
}

// Every counter of a host is in /metrics: each gets a value of its own, and all
// values must come out.
func TestMetricsAreComplete(t *testing.T) {
	var s stack.Stats
	s.Interfaces = []stack.InterfaceStats{{Name: "a\"b\\c\nd", Drops: map[string]uint64{"rx-no-buffer": 900_001}}}
	s.Conns = nil // not there: their number has no bound
	next := int64(100_001)
	var fill func(v reflect.Value, path string, names map[int64]string)
	fill = func(v reflect.Value, path string, names map[int64]string) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i), path+"."+v.Type().Field(i).Name, names)
			}
		case reflect.Slice:
			for i := range v.Len() {
				fill(v.Index(i), path, names)
			}
		case reflect.Int, reflect.Int64:
			if !strings.HasSuffix(path, ".MTU") { // a setting
				v.SetInt(next)
				names[next] = path
				next++
			}
		case reflect.Uint64:
			v.SetUint(uint64(next))
			names[next] = path
			next++
		}
	}
	names := map[int64]string{900_001: "Drops"}
	fill(reflect.ValueOf(&s).Elem(), "Stats", names)
	text := string(New(Config{Stats: func() stack.Stats { return s }}).metrics())
	checkExposition(t, text)
	for n, path := range names {
		if !strings.Contains(text, " "+strconv.FormatInt(n, 10)+"\n") {
			t.Errorf("%s is missing", path)
		}
	}
}
