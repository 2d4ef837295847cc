package uploader_test

import "testing"

// TestAFileRewrittenInPlaceIsCutFinelyOnceThatIsSeen: nothing about its name says
// that the file is a database, but it changes in part night after night.
func TestAFileRewrittenInPlaceIsCutFinelyOnceThatIsSeen(t *testing.T) {
	const size = 6 << 20
	p := newPC(t, t.TempDir())
	p.addMem("first")
	p.write("practice.xyz", noise(1, size))
	p.commit()
	var stored []int64
	for night := range 5 {
		p.nextDay()
		p.edit("practice.xyz", int64(night+1)<<20-1000, "a changed record")
		stored = append(stored, p.commit().New)
	}
	// Two nights store a large chunk each, the third cuts the file anew, and from
	// then on a page is what a change costs. Tables come on top.
	for night, most := range []int64{5 << 20, 5 << 20, size + 1<<16, 1 << 16, 1 << 16} {
		if stored[night] > most {
			t.Errorf("night %d: %d new bytes, want at most %d", night+1, stored[night], most)
		}
	}
}

// TestADocumentEditedNowAndThenStaysWhole: one partial change is no habit, and a
// file that was replaced altogether says nothing.
func TestADocumentEditedNowAndThenStaysWhole(t *testing.T) {
	const size = 6 << 20
	p := newPC(t, t.TempDir())
	p.addMem("first")
	p.write("plan.xyz", noise(1, size))
	p.commit()
	for i, write := range []func(){
		func() { p.edit("plan.xyz", 3<<20, "edited") },
		func() { p.write("plan.xyz", noise(2, size)) },
		func() { p.edit("plan.xyz", 3<<20, "edited again") },
	} {
		p.nextDay()
		write()
		if n := p.commit().New; i != 1 && n > 5<<20 {
			t.Errorf("change %d: %d new bytes, so the file was cut anew", i+1, n)
		}
	}
}
