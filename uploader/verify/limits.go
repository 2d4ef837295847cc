package verify

import (
	"time"

	"offsite/uploader/verify/structure"
)

// All limits of the checks that compare a set with the last clean one stand here,
// each with its reason. They were tuned with `make bench-detect` on real files;
// CHECKS.md holds what it measured.
const (
	// damagedFiles is how many files may prove damaged that were sound before: one
	// image that odd software saved again is not an attack.
	damagedFiles = 1
	// damagedShare is the same for large sets, in parts per thousand of all files.
	// The slowest attack that must be caught within three days takes ten a day.
	damagedShare = 3
	// damagedBytes is from which part of the set's bytes, per thousand, one damaged
	// file is enough: a database is one file and half a practice.
	damagedBytes = 10

	// rewrittenShare is how many settled files, per thousand, may change or vanish
	// from one clean set to the next. Practices rewrite and delete a handful a day;
	// ten per thousand must be caught the same day.
	rewrittenShare = 7
	// rewrittenFiles is how many may always do so, however small the set is.
	rewrittenFiles = 3
	// rewrittenDays is over how many clean sets the number is added up, and
	// rewrittenSum how many times the limit of one day it may reach: what stays below
	// the limit of a day must not go on for days.
	rewrittenDays = 5
	rewrittenSum  = 2

	// newBroken is how many new files may always be broken, and more where that is usual
	// for their kind: some programs write images that break the rules, and go on doing so.
	newBroken = 3
	// newBrokenShare is from which share of the new files of a day, in percent, they
	// are too many, if newBroken is exceeded.
	newBrokenShare = 20
	// newBrokenBytes is from which part of the set's bytes, per thousand, new files that are
	// broken are too many, if it is as unlikely as one in newBrokenOdds by what is usual
	// for their kinds: a scan of a whole skull is one file.
	newBrokenBytes = 20
	newBrokenOdds  = 1000

	// noiseRise is by how much, per thousand, the share of blocks that look random may
	// rise in a file. Of real databases none had any such block; encrypting 4 KiB of
	// every 64 KiB gives 60.
	noiseRise = 30
	// noisyBefore makes the rise depend on what was noise before, one part in so many:
	// packed data has shares that differ from one backup to the next.
	noisyBefore = 4
	// noiseDrift is how much of a rise is forgotten with each clean set: databases that
	// take up images grow noisier by a little every day.
	noiseDrift = 2
	// noiseSamples is how many samples the rise must be made of: one block of many is
	// chance.
	noiseSamples = 3
	// meanRise is by how much the number of different byte values in a sample may rise,
	// on average over a file. Encrypting every other 16 bytes adds 17 and more to all
	// that is not noise anyway; real edits of databases moved it by less than 4.
	meanRise = 12
	// meanSamples is how many samples an average needs to be worth comparing.
	meanSamples = 8

	// skewLeast is by how many different values the halves of a sample of raw pixels must
	// differ for every other 16 bytes to be noise: of 72 real pictures none had more than
	// 3, damaged so none had less than 17.
	skewLeast = 10
	// rawNoise is from which share of blocks, per thousand, that look random a new raw
	// picture is odd: of 72 real ones one had any.
	rawNoise = 30

	// biasFallen is which part, in percent, of the bias that is usual for packed data may
	// be left: locking every other 16 bytes leaves a quarter, and all of them nothing.
	// biasErrors is how many times its own error the fall must be.
	biasFallen = 50
	biasErrors = 6
	// biasDrift is by which part, one in so many, what is usual may move with each clean
	// set.
	biasDrift = 10
	// headFallen is the same for the first block alone, which says less, and headFall how
	// deep the fall must be at least, in units of the bias: three times the error of
	// one block.
	headFallen = 30
	headFall   = 3 * structure.BiasUnit * 226 / 10 / structure.BlockSize

	// oddKnown is how many files of a kind must be known for a new one to be held against
	// them, and oddAlike how many of them in a hundred must be alike.
	oddKnown = 20
	oddAlike = 98

	// headNoise is how many different values the first 512 bytes of a file must hold to
	// be noise, and headRise how many fewer they must have held before: random bytes
	// hold 221, headers of databases below 120.
	headNoise = 195
	headRise  = 40

	// shrunk is by which part, in percent, a database whose format is not known may
	// become shorter. Databases give no room back but in maintenance.
	shrunk = 1
	// hollow is which part, in percent, of what a file held may have become zeros at its
	// end: a full disk leaves a file of the right length that was never filled.
	hollow = 2
	// slack is below how many bytes neither is looked at: one page.
	slack = 4 << 10
	// archiveShrunk is how much smaller, in percent, an archive may be than the one
	// before it. They pack the same data every day; less than half is another thing.
	archiveShrunk = 50

	// lineLeast is how large a file under a dated name must be to be a backup rather than
	// a document.
	lineLeast = 64 << 10

	// goneShare is from which share of the files of a folder or of one kind, in
	// percent, the rest is missing rather than deleted; goneFiles is how many it must
	// be at least.
	goneShare = 50
	goneFiles = 10
	// lostShare is from which share of all files, in percent, the set is not whole.
	lostShare = 20

	// gainSets is of how many clean sets the new images and documents are counted,
	// gainLeast of how many at least, and gainExpected how many must have been due on
	// average since the last came before it is remarkable that there are none: when
	// eight are due, none come by chance on one day in 3,000.
	gainSets     = 40
	gainLeast    = 8
	gainExpected = 8
	// gainSigns is how many must be due where a file that nearly always changes did not,
	// either: each sign alone would say too little.
	gainSigns = 4
	// lastSound is how rare, one in so many, files of a kind that end too early must be
	// before the one that was written last counts as cut short, and lastKnown of how
	// many files that must be known.
	lastSound = 200
	lastKnown = 20
	// staleOdds is how unlikely, as one in so many, it must be that files which change
	// every day all rest while others change.
	staleOdds = 10_000
	// usedChanges is after how many changes a file counts as one that is in use, and
	// so as one that cannot just vanish.
	usedChanges = 3
	// alwaysSeen is after how many clean sets a file of a kind that changes is taken for
	// a table that rests, and not for a thing of some days.
	alwaysSeen = 20

	// livelyFiles is how many files of a kind there must be for it to be one of a database
	// because half of them have changed.
	livelyFiles = 3

	// settledSeen is after how many clean sets a file that never changed counts as
	// written once, where neither its format nor its name says so.
	settledSeen = 5
	// restless is the share, one in so many, of sets in which files of a kind may have
	// changed for the others of the kind to count as written once: tables that rest for
	// weeks are tables still.
	restless = 200

	// A disk with less room than freeBase and one thousandth of the set was full while
	// the backup was written, whatever came of it; with freeLeast it never was.
	freeBase  = 1 << 20
	freeShare = 1000
	freeLeast = 64 << 20

	// clockBack is by how much the newest change of a set may be older than that of the
	// last clean one: file systems that keep local time jump with the clocks.
	clockBack = 26 * time.Hour
)
