package afxdp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// revealing is a hook whose program returns its verdict: all the rest is that of
// the hook that it wraps.
type revealing struct{ hook }

func (revealing) end(c *code) {
	for _, e := range []struct {
		label string
		verdict
	}{{goOurs, forUs}, {goBoth, forBoth}, {goKernels, forKernel}} {
		if c.used(e.label) || e.label == goOurs {
			c.label(e.label)
			c.do(asm.Mov.Imm(asm.R0, int32(e.verdict)), asm.Return())
		}
	}
}

// A bench is the program for a scene, in both hooks, with its tables filled.
type bench struct {
	*testing.T
	scene
	tables   *tables
	programs map[string]*ebpf.Program
}

const atSocket = "packet socket"

// stump says that a frame is shorter than the IP header that it promises. The
// kernel runs no classifier on such a one.
func stump(frame []byte) bool {
	switch n := len(frame) - hal.EthernetHeaderLen; binary.BigEndian.Uint16(frame[12:]) {
	case typeIPv4:
		return n < 20
	case typeIPv6:
		return n < 40
	}
	return false
}

func newBench(t *testing.T, s scene) *bench {
	t.Helper()
	b := &bench{T: t, scene: s, tables: s.tables(t), programs: map[string]*ebpf.Program{}}
	m, err := newMaps(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.close() })
	if err := m.fill(newTables(b.tables.kind), b.tables); err != nil {
		t.Fatal(err)
	}
	// The filter of a packet socket is run as a classifier here: to that the
	// kernel shows a frame from its Ethernet header on, as a packet socket does.
	for name, p := range map[string]struct {
		hook
		ebpf.ProgramType
	}{"driver": {atDriver{}, ebpf.XDP}, atSocket: {atPacketSocket{}, ebpf.SchedCLS}} {
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: p.ProgramType, Instructions: write(b.tables.kind, m, revealing{p.hook})})
		if err != nil {
			t.Fatalf("%s, at the %s: %+v", s.name, name, err)
		}
		t.Cleanup(func() { prog.Close() })
		b.programs[name] = prog
	}
	return b
}

// agree compares what the programs say with what the model says.
func (b *bench) agree(frame []byte) {
	b.Helper()
	want := b.tables.judge(frame)
	for hook, p := range b.programs {
		if hook == atSocket && stump(frame) {
			continue
		}
		if got := run(b.T, p, frame); got != want {
			b.Errorf("%s, at the %s: the program says %d and the model %d of frame %x", b.name, hook, got, want, frame)
		}
	}
}

func run(t *testing.T, p *ebpf.Program, frame []byte) verdict {
	t.Helper()
	ret, err := p.Run(&ebpf.RunOptions{Data: frame})
	if err != nil {
		t.Fatalf("running the program on %x: %v", frame, err)
	}
	return verdict(ret)
}

func TestProgram(t *testing.T) {
	testenv.Need(t, "afxdp", probe())
	benches := map[string]*bench{}
	for _, s := range scenes {
		benches[s.name] = newBench(t, s)
	}
	for _, v := range verdicts {
		for hook, p := range benches[v.scene.name].programs {
			if hook == atSocket && stump(v.frame) {
				continue
			}
			if got := run(t, p, v.frame); got != v.want {
				t.Errorf("%s: %s: verdict %d at the %s, want %d", v.scene.name, v.name, got, hook, v.want)
			}
		}
	}
}

// TestProgramIsTheModel mutates frames and looks that the program and the model
// agree on every one of them, in every scene.
func TestProgramIsTheModel(t *testing.T) {
	testenv.Need(t, "afxdp", probe())
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %#x", seed)
	rounds := 5000
	if testenv.Long() {
		rounds = 200_000
	}
	for _, s := range scenes {
		b := newBench(t, s)
		for range rounds {
			if b.agree(mutate(rnd, verdicts[rnd.IntN(len(verdicts))].frame)); t.Failed() {
				return
			}
		}
	}
}

// telling are values that have a meaning somewhere in a header.
var telling = []byte{0, 1, 2, 3, 4, 5, 6, 8, 17, 0x20, 0x3f, 43, 44, 0x45, 0x4f, 53, 58, 60, 0x60, 68, 80, 0x86, 130, 134, 136, 0xff}

// mutate changes some bytes of a frame, and its length. What is shorter than an
// Ethernet header the kernel does not run programs on.
func mutate(rnd *rand.Rand, frame []byte) []byte {
	f := append([]byte(nil), frame...)
	for range rnd.IntN(4) {
		i := rnd.IntN(len(f))
		switch rnd.IntN(3) {
		case 0:
			f[i] ^= 1 << rnd.IntN(8)
		case 1:
			f[i] = telling[rnd.IntN(len(telling))]
		case 2:
			f[i] = byte(rnd.Uint32())
		}
	}
	if rnd.IntN(4) == 0 {
		f = f[:rnd.IntN(len(f)+1)]
	}
	for len(f) < hal.EthernetHeaderLen {
		f = append(f, 0)
	}
	return f
}

// BenchmarkProgram is how long the program runs, as the kernel measures it: for our
// frames, for the kernel's, and for a program that looks at nothing.
func BenchmarkProgram(b *testing.B) {
	testenv.Need(b, "afxdp", probe())
	m, err := newMaps(1)
	if err != nil {
		b.Fatal(err)
	}
	defer m.close()
	if err := m.fill(newTables(byAddress), filter{}.tables(mine)); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		kind
		frame []byte
	}{
		{"nothing", everything, verdicts[0].frame},
		{"IPv4 to us", byAddress, ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoTCP, ports(22)...)...)},
		{"IPv4 to the kernel", byAddress, ether(kernelMAC, typeIPv4, ip4("10.0.0.1", protoTCP, ports(22)...)...)},
		{"UDP to the kernel", byAddress, ether(kernelMAC, typeIPv4, ip4("10.0.0.1", protoUDP, ports(22)...)...)},
		{"IPv6 to us", byAddress, ether(kernelMAC, typeIPv6, ip6("fd00::1:2", protoTCP, ports(22)...)...)},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, err := loadXDP(c.kind, m, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			_, each, err := p.Benchmark(c.frame, b.N, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(each.Nanoseconds()), "ns/op")
		})
	}
}
