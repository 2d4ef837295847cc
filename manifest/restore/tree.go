package restore

import (
	"errors"
	"fmt"
)

// tree follows rows in the order of their paths and knows what stands above the
// present one. In that order "a!" comes between "a" and "a/b", so what is above is
// not always what came just before.
type tree struct {
	nodes []node // each may hold what follows it
}

type node struct {
	row    *Entry
	folder bool // it is there, and is a folder
}

// enter comes to a path and calls leave, the innermost first, for the nodes that
// nothing more can stand in.
func (t *tree) enter(p string, leave func(node)) {
	for len(t.nodes) > 0 {
		top := t.nodes[len(t.nodes)-1]
		if besides(p, top.row.Path) {
			return
		}
		t.nodes = t.nodes[:len(t.nodes)-1]
		leave(top)
	}
}

// end leaves all nodes.
func (t *tree) end(leave func(node)) {
	for i := len(t.nodes) - 1; i >= 0; i-- {
		leave(t.nodes[i])
	}
	t.nodes = nil
}

// add puts the present row on top.
func (t *tree) add(row *Entry, folder bool) { t.nodes = append(t.nodes, node{row, folder}) }

var errInside = errors.New("what should be its folder is none, or was refused")

// above refuses a row that stands inside of a file, a link or something refused.
// That a folder has no row of its own is no reason: its row may be lost.
func (t *tree) above(p string) error {
	for _, n := range t.nodes {
		if !n.folder && below(p, n.row.Path) {
			return fmt.Errorf("%w: %s", errInside, n.row.Path)
		}
	}
	return nil
}
