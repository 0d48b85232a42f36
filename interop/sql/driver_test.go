package sql_test

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// A connector is a driver whose queries are lines, and whose answers are a line
// of two words: the number of the connection, and what was asked.
type connector struct {
	dial func(ctx context.Context) (net.Conn, error)
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	nc, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc, in: bufio.NewReader(nc)}, nil
}

func (c *connector) Driver() driver.Driver { return c }

func (c *connector) Open(string) (driver.Conn, error) { return c.Connect(context.Background()) }

// A conn is one connection of the pool.
type conn struct {
	net.Conn
	in     *bufio.Reader
	broken bool
}

var (
	_ driver.QueryerContext = (*conn)(nil)
	_ driver.Validator      = (*conn)(nil)
)

var errUnsupported = errors.New("not in this driver")

func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errUnsupported }
func (c *conn) Begin() (driver.Tx, error)           { return nil, errUnsupported }

// IsValid keeps broken connections out of the pool.
func (c *conn) IsValid() bool { return !c.broken }

// QueryContext asks, until ctx ends. A query can be asked again, so a connection
// that fails before the answer is bad, and the pool tries another.
func (c *conn) QueryContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := fmt.Fprintln(c, query)
	var line string
	if err == nil {
		line, err = c.in.ReadString('\n')
	}
	switch {
	case err == nil:
		number, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		return &rows{row: []driver.Value{number, text}}, nil
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		c.broken = true // its answer may still come
		return nil, ctx.Err()
	}
	c.broken = true
	return nil, fmt.Errorf("%w: %w", driver.ErrBadConn, err)
}

// rows is one row.
type rows struct{ row []driver.Value }

func (r *rows) Columns() []string { return []string{"connection", "text"} }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(to []driver.Value) error {
	if r.row == nil {
		return io.EOF
	}
	copy(to, r.row)
	r.row = nil
	return nil
}

// query asks for a text and returns the number of the connection that answered.
func query(ctx context.Context, db asker, text string) (connection string, err error) {
	var got string
	err = db.QueryRowContext(ctx, text).Scan(&connection, &got)
	if err == nil && got != text {
		err = fmt.Errorf("%q was answered by %q", text, got)
	}
	return connection, err
}

// An asker is a pool, or a connection of one.
type asker interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
