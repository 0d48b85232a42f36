//go:build dpdk && cgo && linux

package dpdk

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// Two processes make a cable: the far end is this test's own program, started again
// as a child that opens ports when it is told to, and carries packets between them
// and its standard input and output.

const childVariable = "RINGTAIL_DPDK_CHILD"

func TestMain(m *testing.M) {
	// libxdp writes a page to standard error about every device otherwise.
	os.Setenv("LIBXDP_SKIP_DISPATCHER", "1")
	if os.Getenv(childVariable) != "" {
		if err := runChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	status := m.Run()
	for _, c := range children {
		c.end()
	}
	os.Exit(status)
}

// A message goes to the child and back.
type message struct {
	Open   string // a spec; the answer has Error
	Close  bool
	IsData bool // it is a packet, which may be empty
	Packet []byte
	Meta   hal.Meta
	Link   hal.Link // in an answer
	Error  string
}

// runChild serves the parent until it is gone.
func runChild(in io.Reader, out io.Writer) error {
	var mu sync.Mutex // guards the encoder
	enc, dec := gob.NewEncoder(out), gob.NewDecoder(in)
	say := func(m message) error {
		mu.Lock()
		defer mu.Unlock()
		return enc.Encode(m)
	}
	var dev hal.Device
	var received chan struct{}
	for {
		var m message
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		err := error(nil)
		switch {
		case m.Open != "":
			if dev, err = hal.Open(m.Open); err == nil {
				received = make(chan struct{})
				go func(d hal.Device) {
					defer close(received)
					receive(d, say)
				}(dev)
			}
		case m.Close:
			err = dev.Close()
			<-received
		case m.IsData:
			if err := transmit(dev, m.Packet, m.Meta); err != nil {
				return err
			}
			continue
		}
		answer := message{}
		if err != nil {
			answer.Error = err.Error()
		} else if dev != nil {
			answer.Link = dev.Info().Link
		}
		if err := say(answer); err != nil {
			return err
		}
	}
}

// receive hands on what arrives, until the device is closed.
func receive(dev hal.Device, say func(message) error) {
	rx, _, err := dev.Queue(0)
	burst := make([]hal.Frame, max(64, dev.Info().MaxChain))
	s, e := hal.NewSleeper(dev)
	if err != nil || e != nil {
		return
	}
	defer s.Close()
	for {
		n, err := rx.Rx(burst)
		if err != nil {
			return
		}
		for rest := burst[:n]; len(rest) > 0; {
			c := hal.ChainLen(rest)
			m := message{IsData: true, Meta: rest[0].Meta}
			for i := range c {
				m.Packet = append(m.Packet, rest[i].Data...)
			}
			if say(m) != nil {
				return
			}
			rest = rest[c:]
		}
		rx.Release(burst[:n])
		if n > 0 {
			s.Wake()
		}
		if s.Wait(time.Time{}) != nil {
			return
		}
	}
}

// transmit sends a packet, waiting while the port is full.
func transmit(dev hal.Device, packet []byte, m hal.Meta) error {
	_, tx, err := dev.Queue(0)
	if err != nil {
		return err
	}
	chain := make([]hal.Frame, dev.Info().MaxChain)
	for n := 0; n == 0; runtime.Gosched() {
		if n, err = tx.Alloc(chain, len(packet)); err != nil {
			return err
		}
		chain = chain[:max(n, 1)]
		if n == 0 {
			chain = chain[:cap(chain)]
		}
	}
	chain[0].Meta = m
	for i := range chain {
		packet = packet[copy(chain[i].Data, packet):]
	}
	for n := 0; n == 0; runtime.Gosched() {
		if n, err = tx.Tx(chain); err != nil {
			return err
		}
	}
	return tx.Flush()
}

// A child is the other process. One test at a time has it.
type child struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	enc     *gob.Encoder
	mu      sync.Mutex // guards enc
	answers chan message
	packets chan message
	gone    chan struct{}
}

var (
	childrenMu sync.Mutex
	children   []*child // that nobody has
	started    int
)

// startChild takes a child that nobody has, or starts some: at once as many as a test
// may need, because one that is started while a port is open inherits what DPDK has
// open, sockets of memif among them, and their other end does not see them closed.
func startChild(t testing.TB) *child {
	t.Helper()
	childrenMu.Lock()
	defer childrenMu.Unlock()
	for len(children) == 0 || started < 2 {
		c, err := newChild()
		if err != nil {
			t.Fatal(err)
		}
		children, started = append(children, c), started+1
	}
	n := len(children)
	c := children[n-1]
	children = children[:n-1]
	return c
}

func newChild() (*child, error) {
	c := &child{
		cmd: exec.Command("/proc/self/exe"), answers: make(chan message),
		packets: make(chan message, 1<<14), gone: make(chan struct{}),
	}
	c.cmd.Env = append(os.Environ(), childVariable+"=1")
	c.cmd.Stderr = os.Stderr
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	c.enc = gob.NewEncoder(c.in)
	go c.listen(gob.NewDecoder(out))
	return c, nil
}

func (c *child) listen(dec *gob.Decoder) {
	defer close(c.gone)
	for {
		var m message
		if dec.Decode(&m) != nil {
			return
		}
		if !m.IsData {
			c.answers <- m
			continue
		}
		select {
		case c.packets <- m:
		default: // nobody reads: a port would lose it, too
		}
	}
}

func (c *child) tell(m message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.enc.Encode(m)
}

// ask tells the child something and waits for its answer.
func (c *child) ask(m message) (message, error) {
	if err := c.tell(m); err != nil {
		return message{}, err
	}
	select {
	case a := <-c.answers:
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-c.gone:
		return message{}, errors.New("the child is gone")
	case <-time.After(30 * time.Second):
		return message{}, errors.New("the child does not answer")
	}
}

func (c *child) end() {
	c.in.Close()
	_ = c.cmd.Wait()
}

// kill ends the child as a crash would.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.gone
	_ = c.cmd.Wait()
}

// open opens a port in the child.
func (c *child) open(t testing.TB, spec string) {
	t.Helper()
	if _, err := c.ask(message{Open: spec}); err != nil {
		t.Fatalf("child: open %s: %v", spec, err)
	}
}

// leave closes the child's port and gives the child back.
func (c *child) leave(t testing.TB) {
	t.Helper()
	if _, err := c.ask(message{Close: true}); err != nil {
		t.Errorf("child: close: %v", err)
		c.kill()
		return
	}
	c.forget()
	childrenMu.Lock()
	defer childrenMu.Unlock()
	children = append(children, c)
}

// forget drops what has arrived.
func (c *child) forget() {
	for len(c.packets) > 0 {
		<-c.packets
	}
}

// Send, SendMeta and Recv make the child's port the far end of a link.
func (c *child) Send(packet []byte) error { return c.SendMeta(packet, hal.Meta{}) }

func (c *child) SendMeta(packet []byte, m hal.Meta) error {
	return c.tell(message{IsData: true, Packet: packet, Meta: m})
}

func (c *child) Recv(timeout time.Duration) ([]byte, error) {
	select {
	case m := <-c.packets:
		return m.Packet, nil
	case <-c.gone:
		return nil, errors.New("the child is gone")
	case <-time.After(timeout):
		return nil, fmt.Errorf("nothing has arrived for %v", timeout)
	}
}

// joined waits until both ends of a cable say that the link is up.
func joined(t testing.TB, dev hal.Device, c *child) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		a, err := c.ask(message{})
		if err != nil {
			t.Fatal(err)
		}
		here := dev.Info().Link
		if here == hal.LinkUp && a.Link == hal.LinkUp {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the link does not come up: here %v, there %v", here, a.Link)
		}
		time.Sleep(time.Millisecond)
	}
}
