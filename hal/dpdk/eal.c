//go:build dpdk && cgo && linux

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_version.h>

#include "shim.h"

static FILE *log_file;

/*
 * EAL prints its usage and a few complaints past its log, to streams that are this
 * program's: while it starts, C's are the log.
 */
int rt_eal_init(int argc, char **argv)
{
	FILE *out = stdout, *err = stderr;
	int r;

	if (log_file)
		stdout = stderr = log_file;
	r = rte_eal_init(argc, argv);
	stdout = out;
	stderr = err;
	if (r >= 0)
		return 0;
	return rte_errno ? -rte_errno : -EINVAL;
}

/*
 * A line goes into the pipe with its level before it, which DPDK knows only while
 * it writes. The pipe does not block: whoever logs must not wait for a reader.
 */
static ssize_t log_line(void *cookie, const char *text, size_t n)
{
	char line[1024];
	size_t keep = n < sizeof(line) - 2 ? n : sizeof(line) - 2;

	line[0] = (char)('0' + rte_log_cur_msg_loglevel());
	memcpy(line + 1, text, keep);
	if (keep && line[keep] != '\n')
		line[++keep] = '\n';
	if (write((int)(intptr_t)cookie, line, keep + 1) < 0)
		return (ssize_t)n; /* lost: nobody can be told */
	return (ssize_t)n;
}

int rt_eal_log_to(int fd)
{
	cookie_io_functions_t io = {.write = log_line};

	log_file = fopencookie((void *)(intptr_t)fd, "w", io);
	if (!log_file)
		return -ENOMEM;
	setvbuf(log_file, NULL, _IOLBF, 0);
	return rte_openlog_stream(log_file);
}

const char *rt_eal_runtime_dir(void) { return rte_eal_get_runtime_dir(); }

const char *rt_eal_version(void) { return rte_version(); }

const char *rt_strerror(int err) { return rte_strerror(err < 0 ? -err : err); }
