// Command b3sum is as much of the program of that name as recover.py uses, for
// tests on machines that lack it: b3sum --no-names FILE.
package main

import (
	"fmt"
	"os"

	"github.com/zeebo/blake3"
)

func main() {
	data, err := os.ReadFile(os.Args[len(os.Args)-1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "b3sum:", err)
		os.Exit(1)
	}
	fmt.Printf("%x\n", blake3.Sum256(data))
}
