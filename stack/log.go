package stack

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	gvisor "gvisor.dev/gvisor/pkg/log"
)

// gVisor logs to a target that is global to the process, by default standard
// error: a library must not. The first host turns it to the Logger of the host
// that was made last.
var (
	silenceGVisor sync.Once
	gvisorLogger  atomic.Pointer[slog.Logger]
)

func takeGVisorLog(l *slog.Logger) {
	gvisorLogger.Store(l)
	silenceGVisor.Do(func() { gvisor.SetTarget(emitter{}) })
}

// emitter implements gVisor's log.Emitter.
type emitter struct{}

func (emitter) Emit(_ int, level gvisor.Level, _ time.Time, format string, v ...any) {
	to := slog.LevelInfo
	switch level {
	case gvisor.Warning:
		to = slog.LevelWarn
	case gvisor.Debug:
		to = slog.LevelDebug
	}
	gvisorLogger.Load().Log(context.Background(), to, "gvisor: "+fmt.Sprintf(format, v...))
}
