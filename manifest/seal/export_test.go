package seal

// PackWithFault seals like Pack, lets fault change the sealed bytes before the
// proof, and returns what the proof says.
func (s *Sealer) PackWithFault(plain []byte, fault func(sealed []byte)) error {
	sealed, key, err := sealUnproved(nil, plain, s.restore)
	if err != nil {
		return err
	}
	fault(sealed)
	return s.prove(sealed, plain, key.identity())
}

// PackUnproved is Pack without the proof, to measure what the proof costs.
func (s *Sealer) PackUnproved(dst, plain []byte) ([]byte, error) {
	sealed, _, err := sealUnproved(dst, plain, s.restore)
	return sealed, err
}
