package sql_test

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/wrap"
)

// The driver "cable" is a wire in memory, as loopback's, that can be cut while
// hosts use it: cable:NAME?mac=MAC.
func init() {
	hal.Register(hal.Driver{
		Name:    "cable",
		Summary: "a wire in memory that can be cut",
		Keys:    []hal.Key{hal.TextKey("mac", "address of the device")},
		Open:    openCable,
	})
}

func openCable(s hal.Spec) (hal.Device, error) {
	dev, err := hal.Open("loopback:" + s.Target + "?mac=" + s.Text("mac", ""))
	if err != nil {
		return nil, err
	}
	in := wrap.Inject(dev, wrap.InjectOptions{Faults: wrap.Faults{Delay: time.Millisecond}, Seed: 1})
	cables.Lock()
	defer cables.Unlock()
	cables.ends[s.Target] = append(cables.ends[s.Target], in)
	return in, nil
}

var cables = struct {
	sync.Mutex
	ends map[string][]*wrap.Injector
}{ends: map[string][]*wrap.Injector{}}

// cut cuts a cable: nothing passes until it is mended.
func cut(name string) (mend func()) {
	cables.Lock()
	defer cables.Unlock()
	var mends []func()
	for _, end := range cables.ends[name] {
		mends = append(mends, end.Add(func([]byte, wrap.Dir, time.Time, *rand.Rand) wrap.Verdict { return wrap.Drop }))
	}
	return func() {
		for _, mend := range mends {
			mend()
		}
	}
}
