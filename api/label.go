package api

import "context"

// labelKey is that of a context's label.
type labelKey struct{}

// WithLabel returns a context whose dials and listens are called label. To a
// simulation the label tells sockets apart that several goroutines of a host open at
// the same moment: without one, which goroutine gets which is up to the scheduler.
// Goroutines that may dial at the same moment need different labels. To everything
// else it means nothing.
func WithLabel(ctx context.Context, label string) context.Context {
	return context.WithValue(ctx, labelKey{}, label)
}

// labelOf returns the label of a context, if it has one.
func labelOf(ctx context.Context) string {
	label, _ := ctx.Value(labelKey{}).(string)
	return label
}
