package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What people get wrong leads to exit code 2 and one line that says what.
func TestBadInput(t *testing.T) {
	const host = " --hal loopback:x --addr 10.0.0.1/24"
	for _, test := range []struct{ args, want string }{
		{"serv", "did you mean serve"},
		{"frobnicate", "unknown command \"frobnicate\""},
		{"completion klingon", "klingon"},
		{"serve x", "wrong number of arguments"},
		{"serve --bogus", "--bogus"},
		{"serve --addr 10.0.0.1/24", "--hal is missing"},
		{"serve --hal loopback:x", "(Config.Addrs, --addr)"},
		{"serve --hal nope:x --addr 10.0.0.1/24", "unknown driver \"nope\"; known: afxdp, dpdk"},
		{"serve --hal loopback --addr 10.0.0.1/24", "colon"},
		{"serve --hal loopback:x?nope=1 --addr 10.0.0.1/24", "no key \"nope\"; known: mtu"},
		{"serve --hal loopback:x?mtu=20 --addr 10.0.0.1/24", "mtu=20"},
		{"serve --hal kernel: --addr 10.0.0.1/24", "not built yet"},
		{"serve --hal tap:a-very-long-name-of-a-device --addr 10.0.0.1/24", "too long"},
		{"serve --hal loopback:x --addr 10.0.0.1", "want 10.77.0.2/24"},
		{"serve --hal loopback:x --addr 10.0.0.1/33", "want 10.77.0.2/24"},
		{"serve --hal loopback:x --addr 224.0.0.1/24", "224.0.0.1"},
		{"serve --mtu 20" + host, "MTU 20"},
		{"serve --mtu x" + host, "--mtu"},
		{"serve --mtu 1000 --hal loopback:x --addr fd00::1/64", "MTU 1000"},
		{"serve --faults drop=200%" + host, "200%"},
		{"serve --faults nope=1" + host, "unknown key \"nope\""},
		{"serve --gateway 10.1.0.1" + host, "10.1.0.1"},
		{"serve --gateway 10.0.0.2,10.0.0.3" + host, "one for each of IPv4 and IPv6"},
		{"serve --gateway x" + host, "want 10.77.0.1"},
		{"serve --face x" + host, "queue or net"},
		{"serve --pcap /nonexistent/file" + host, "/nonexistent/file"},
		{"serve --config /nonexistent/file" + host, "/nonexistent/file"},
		{"ping", "wrong number of arguments"},
		{"ping nobody" + host, "literal address"},
		{"ping 10.0.0.2 -s 70000" + host, "--size 70000"},
		{"ping 10.0.0.2 -c -1" + host, "--count -1"},
		{"ping 10.0.0.2 -i 0s" + host, "--interval"},
		{"ping 10.0.0.2 -W -1s" + host, "--wait"},
		{"nc 10.0.0.2" + host, "which port"},
		{"nc 10.0.0.2 http" + host, "PORT must be a number"},
		{"nc 10.0.0.2 0" + host, "PORT must be a number"},
		{"nc nobody 80" + host, "literal address"},
		{"nc -l 1 2" + host, "no HOST"},
		{"nc --pcap - 10.0.0.2 80" + host, "--pcap -"},
		{"nc -w -1s -l 1" + host, "--wait"},
		{"proxy" + host, "--forward"},
		{"proxy x --socks 1080" + host, "wrong number of arguments"},
		{"proxy --forward 8080" + host, "--forward: route \"8080\": want LISTEN=TARGET"},
		{"proxy --publish sctp/80=127.0.0.1:80" + host, "--publish: route"},
		{"proxy --socks x" + host, "--socks: \"x\": the port"},
		{"proxy --socks 1080 --socks-user me" + host, "want user:password"},
		{"proxy --socks 0.0.0.0:1080" + host, "--public"},
		{"proxy --socks 1080 --max-flows 0" + host, "--max-flows 0"},
		{"proxy --socks 1080 --udp-idle 0s" + host, "--udp-idle"},
		{"proxy --socks 1080 --drain -1s" + host, "--drain"},
		{"proxy --socks 1080 --json --pcap -" + host, "--pcap -"},
		{"proxy --publish 80=127.0.0.1:1 --publish 80=127.0.0.1:2" + host, "publish tcp/:80=127.0.0.1:2"},
		{"drivers nope", "unknown driver \"nope\""},
		{"drivers nope:x", "unknown driver \"nope\""},
		{"drivers loopback:x", "see ringtail drivers loopback"},
		{"drivers loopback:x?nope", "known: "},
		{"bench raw", "--hal is missing"},
		{"bench rwa", "rwa"},
		{"bench raw --hal nope:", "unknown driver \"nope\"; known: afxdp, dpdk"},
		{"bench raw --hal loopback: --rounds 0", "--rounds 0"},
		{"bench raw --hal loopback: --time 1us", "--time 1µs"},
		{"bench raw --hal loopback: --size 63", "--size 63"},
		{"bench raw --hal loopback: --peer-netns x", "--peer-netns without --peer"},
	} {
		t.Run(test.args, func(t *testing.T) {
			got := runLine(test.args)
			if got.code != 2 || got.out != "" || !strings.Contains(got.err, test.want) {
				t.Errorf("%+v, want code 2 and %q", got, test.want)
			}
			if !strings.HasPrefix(got.err, "ringtail: ") || strings.Count(got.err, "\n") != 1 || !strings.HasSuffix(got.err, "\n") {
				t.Errorf("not one clear line: %q", got.err)
			}
		})
	}
}

func TestOutput(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "Exit codes"},
		{"--help", "RINGTAIL_HAL"},
		{"help serve", "/bytes/N"},
		{"serve --help", "Examples:"},
		{"ping --help", "Examples:"},
		{"nc --help", "Examples:"},
		{"proxy --help", "Examples:"},
		{"demo --help", "Examples:"},
		{"drivers", "kernel: not built yet"},
		{"drivers", "loopback:  works"},
		{"drivers loopback", "mtu"},
		{"drivers kernel", "it has no keys"},
		{"version", "gVisor"},
		{"completion bash", "complete -"},
		{"completion zsh", "#compdef ringtail"},
		{"completion fish", "complete -c ringtail"},
		{"__complete serve --face q", "queue"},
		{"__complete serve --hal l", "loopback:"},
		{"__complete drivers l", "loopback"},
		{"__complete pro", "proxy"},
		{"__complete proxy --pub", "--publish"},
	} {
		t.Run(test.args, func(t *testing.T) {
			if got := runLine(test.args); got.code != 0 || !strings.Contains(got.out, test.want) {
				t.Errorf("%+v, want code 0 and %q", got, test.want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	var v versions
	if got := runLine("version --json"); json.Unmarshal([]byte(got.out), &v) != nil || v.Go == "" {
		t.Errorf("version: %+v", got)
	}
	var rows []driverRow
	got := runLine("drivers --json")
	if err := json.Unmarshal([]byte(got.out), &rows); err != nil {
		t.Fatal(err)
	}
	works := map[string]bool{}
	for _, d := range rows {
		works[d.Name] = d.Works
		if d.Works == (d.Why != "") {
			t.Errorf("%s works: %v, why not: %q", d.Name, d.Works, d.Why)
		}
	}
	if !works["loopback"] || works["kernel"] {
		t.Errorf("%+v", rows)
	}
	var row driverRow
	if got := runLine("drivers loopback --json"); json.Unmarshal([]byte(got.out), &row) != nil || len(row.Keys) == 0 {
		t.Errorf("drivers loopback: %+v", got)
	}
}

// A flag beats the environment, which beats the file.
func TestOptionSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ringtail.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{}
	serve := func(args ...string) string {
		t.Helper()
		got := runWith(context.Background(), "", env, append([]string{"serve"}, args...)...)
		if got.code != 2 || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%+v", got)
		}
		return got.err
	}
	expect := func(got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// Whose MTU is refused tells which source won.
	write(`{"hal": "loopback:x", "addr": ["10.0.0.1/24", "10.0.0.2/24"], "mtu": 21, "count": 3, "json": true}`)
	expect(serve("--config", file), "MTU 21")
	env["RINGTAIL_CONFIG"] = file
	expect(serve(), "MTU 21")
	env["RINGTAIL_MTU"] = "22"
	expect(serve(), "MTU 22")
	expect(serve("--mtu", "23"), "MTU 23")

	env["RINGTAIL_MTU"] = "many"
	expect(serve(), "RINGTAIL_MTU")
	delete(env, "RINGTAIL_MTU")
	env["RINGTAIL_ADDR"] = "10.0.0.1/24,10.0.0.2/99"
	expect(serve(), "RINGTAIL_ADDR")
	delete(env, "RINGTAIL_ADDR")

	for text, want := range map[string]string{
		`{"hall": "x"}`:          `unknown key "hall"; known: addr`,
		`{"config": "x"}`:        `unknown key "config"`,
		`{"mtu": {}}`:            "key \"mtu\": the value must be",
		`{"mtu": null}`:          "key \"mtu\": the value must be",
		`{"addr": [["x"]]}`:      "key \"addr\": the value must be",
		`{"addr": "10.0.0.1"}`:   "want 10.77.0.2/24",
		`{"mtu": 1.5}`:           "1.5",
		"{\n\"mtu\": 1500,\n}":   "line 3",
		`["mtu"]`:                "one JSON object",
		``:                       "line 1",
		`{"verbose": "perhaps"}`: "perhaps",
	} {
		write(text)
		expect(serve(), want)
	}
}

func FuzzOptions(f *testing.F) {
	f.Add([]byte(`{"hal": "loopback:x", "addr": ["10.0.0.1/24"], "mtu": 1500, "json": true}`))
	f.Add([]byte(`{"a": [`))
	f.Fuzz(func(t *testing.T, text []byte) {
		options, err := parseOptions(text)
		if err == nil && !json.Valid(text) {
			t.Errorf("%q was read as %v", text, options)
		}
	})
}

// A panic is an error of one line.
func TestPanic(t *testing.T) {
	var errOut buffer
	code := run(context.Background(), []string{"version"}, console{
		in: strings.NewReader(""), out: panicking{}, err: &errOut,
		getenv: noEnv,
	})
	if code != 1 || strings.Count(errOut.String(), "\n") != 1 || !strings.Contains(errOut.String(), "this is a bug") {
		t.Errorf("code %d, %q", code, errOut.String())
	}
}

type panicking struct{ io.Writer }

func (panicking) Write([]byte) (int, error) { panic("no") }
