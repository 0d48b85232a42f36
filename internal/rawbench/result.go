package rawbench

import "time"

// Result is what one loop did.
type Result struct {
	Frames uint64        `json:"frames"`
	Time   time.Duration `json:"time_ns"`
	CPU    time.Duration `json:"cpu_ns"` // of the whole process; 0: the system does not say
	Mode   string        `json:"mode,omitempty"`
}

// PerSecond returns frames a second.
func (r Result) PerSecond() float64 {
	if r.Time <= 0 {
		return 0
	}
	return float64(r.Frames) / r.Time.Seconds()
}

// CPUPerFrame returns the processor time of a frame, in nanoseconds.
func (r Result) CPUPerFrame() float64 {
	if r.Frames == 0 {
		return 0
	}
	return float64(r.CPU) / float64(r.Frames)
}

// A stopwatch measures a loop from its first frame on.
type stopwatch struct {
	begin time.Time
	cpu   time.Duration
}

func start() stopwatch { return stopwatch{time.Now(), processCPU()} }

func (s stopwatch) stop(frames uint64) Result {
	return Result{Frames: frames, Time: time.Since(s.begin), CPU: processCPU() - s.cpu}
}
