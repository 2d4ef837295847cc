package main

import "io/fs"

// ownerOf says nothing: owners are not saved on Windows.
func ownerOf(fs.FileInfo) string { return "" }
