package restore

import (
	"bytes"
	"os"
)

// holeBlock is the run of zeros, and its alignment, that is left out of a file: a
// chunk of a file that is saved page by page, or else the empty parts of databases
// and disk images would never be holes. Neighbours that are left out become one
// hole, also where the blocks of the file system are larger.
const holeBlock = 16 << 10

var zeros [holeBlock]byte

// writeSparse writes b at an offset of a new file, without its aligned runs of
// zeros, and reports whether it left any out.
func writeSparse(out *os.File, b []byte, at int64) (holes bool, err error) {
	for len(b) > 0 {
		n := runLength(b, at)
		if n == 0 {
			if !holes {
				holes = true
				makeSparse(out)
			}
			n = holeBlock
		} else if _, err := out.WriteAt(b[:n], at); err != nil {
			return holes, err
		}
		b, at = b[n:], at+int64(n)
	}
	return holes, nil
}

// runLength returns how many bytes come before the first aligned block of zeros.
func runLength(b []byte, at int64) int {
	n := 0
	for n < len(b) {
		step := min(holeBlock-int((at+int64(n))%holeBlock), len(b)-n)
		if step == holeBlock && b[n] == 0 && bytes.Equal(b[n:n+step], zeros[:]) {
			return n
		}
		n += step
	}
	return n
}
