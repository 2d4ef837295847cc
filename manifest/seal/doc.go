// Package seal holds the keys of a practice and seals and opens its data. It is
// the only package that touches ciphers.
//
// It promises:
//   - what the upload key seals, the upload key cannot open, index segments
//     excepted, which it must read to find chunks again;
//   - a pack leaves Sealer.Pack only after it was opened again and compared byte
//     for byte with what went in;
//   - everything sealed is an ordinary age v1 file that the age program opens
//     with the restore key, without this package;
//   - signed data is opened only in the one spelling that Sign gives it.
//
// It refuses keys, envelopes and key files in any form but the written one, key
// files that others on the machine can read, and passphrase files that ask for
// an unreasonable amount of work. Errors name a kind (ErrDamaged and its like)
// and never quote what was being opened.
//
// The formats are written down in FORMAT.md, what they protect against in
// manifest/THREATS.md.
package seal
