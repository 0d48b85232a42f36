// Package repotest guards the repository as a whole: who may import whom, what
// the exported API may show, how files look, and that the documents say what the
// code says. It has tests only, and they need no network and no privileges:
//
//	go test ./internal/repotest
//
// Every rule says in its failure what it is for. To change a rule, change its
// table here, with the reason, in the same commit as the code that needs it:
//
//	{"internal/services", []string{"api", "stack"}, "services run on either face"},
//
// The rules look at the files of all systems and build tags, not only at those
// of the system they run on, and at those of nested modules. Files of tests may
// import what they like.
//
// The trap: these tests read the working tree, not the last commit. A file that
// is not meant to be committed can fail them.
package repotest
