package verify

import "time"

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

	// newBroken is how many new files may be broken beyond what is usual for their
	// kind: some programs write images that break the rules, and go on doing so.
	newBroken = 3
	// newBrokenShare is from which share of the new files of a day, in percent, they
	// are too many, if newBroken is exceeded.
	newBrokenShare = 20

	// noiseRise is by how much, per thousand, the share of blocks that look random may
	// rise in a file. Of real databases none had any such block; encrypting 4 KiB of
	// every 64 KiB gives 60.
	noiseRise = 30
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

	// shrunk is by which part, in percent, a database whose format is not known may
	// become shorter. Databases give no room back but in maintenance.
	shrunk = 1
	// hollow is which part, in percent, of what a file held may have become zeros at its
	// end: a full disk leaves a file of the right length that was never filled.
	hollow = 2
	// slack is below how many bytes neither is looked at.
	slack = 64 << 10
	// archiveShrunk is how much smaller, in percent, an archive may be than the one
	// before it. They pack the same data every day; less than half is another thing.
	archiveShrunk = 50

	// goneShare is from which share of the files of a folder or of one kind, in
	// percent, the rest is missing rather than deleted; goneFiles is how many it must
	// be at least.
	goneShare = 50
	goneFiles = 10
	// lostShare is from which share of all files, in percent, the set is not whole.
	lostShare = 20

	// gainSets is how many clean sets must have shown new images or documents before
	// none at all is remarkable, and gainLeast how many the poorest of them must have
	// had: with eight in the poorest of twenty days, none comes up by chance less than
	// once in ten thousand days.
	gainSets  = 20
	gainLeast = 8
	// staleOdds is how unlikely, as one in so many, it must be that files which change
	// every day all rest while others change.
	staleOdds = 10_000
	// usedChanges is after how many changes a file counts as one that is in use, and
	// so as one that cannot just vanish.
	usedChanges = 3

	// settledSeen is after how many clean sets a file that never changed counts as
	// written once, where neither its format nor its name says so.
	settledSeen = 5

	// freeShare and freeLeast: below one per thousand and 64 MiB of free space the disk
	// was full while the backup was written, whatever came of it.
	freeShare = 1000
	freeLeast = 64 << 20

	// clockBack is by how much the newest change of a set may be older than that of the
	// last clean one: file systems that keep local time jump with the clocks.
	clockBack = 26 * time.Hour
)
