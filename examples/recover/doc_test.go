// Package recover_test runs recover.py, the reader that was written from the
// format pages alone, against stores that the real packages wrote. Where the
// two disagree, either the pages or the packages are wrong. The tests need a
// Unix system, for names and links that others do not have.
package recover_test
