package practice

import (
	"fmt"
	"strings"
)

// Names and words are inventions or everyday ones; together they make nobody.
var (
	surnames = strings.Split("Smith,Jones,O'Brien,van der Berg,Müller-Lüders,Patel,Nguyễn,García López,Ó Súilleabháin,MacDonald,"+
		"Kowalczyk,Åkesson,d'Angelo,Taylor,Williams,Brown,Davies,Evans,Thomas,Roberts,Johnson,Walker,Wright,Robinson,"+
		"Thompson,White,Hughes,Edwards,Green,Hall,Wood,Harris,Lewis,Martin,Jackson,Clarke,Turner,Hill,Cooper,Ward,Khan,"+
		"Ahmed,Begum,Hussain,Singh,Kaur,Chen,Wójcik,Šimková,Fernández,Dvořák,St. John,de la Cruz,Fitzgerald,Byrne,Doyle,"+
		"Te Rangi,Ngata,Wiremu,Jansen,de Vries,Bakker,Visser,Yılmaz,Østergaard,Björnsdóttir,Papadopoulou,Ivanov,Novák,Rossi", ",")
	firstNames = strings.Split("Siân,Zoë,Mary Ann,Jean-Luc,Aoife,Niamh,Seán,Oliver,Amelia,George,Isla,Noah,Ava,Harry,Mia,"+
		"Jack,Grace,Leo,Freya,Arthur,Lily,Muhammad,Fatima,Priya,Arjun,Wei,Mei Ling,Anaïs,Chloé,José,María,Łukasz,Agnieszka,"+
		"Björn,Åsa,Jürgen,Käthe,Aroha,Tane,Sophie,Thomas,Emma,Daniel,Lucy,Peter,Hannah,David,Ruth,Samuel,Eleanor,Megan,Rhys", ",")
	codes = strings.Split("D0120,D0140,D0150,D0210,D0220,D0270,D0330,D1110,D1206,D1351,D2140,D2330,D2391,D2740,D2750,D2950,"+
		"D3310,D3320,D3330,D4341,D4910,D5110,D5213,D6010,D6058,D7140,D7210,D7240,D8080,D9110,D9230,D9310", ",")
	vocabulary = makeVocabulary(strings.Fields(`
patient attended today for routine examination no complaints extra oral intra soft tissues normal healthy gums mild
moderate severe bleeding on probing upper lower left right first second third molar premolar canine incisor central
lateral crown bridge implant denture filling composite amalgam root canal treatment review recall hygiene scale polish
advised oral brushing flossing interdental brush fluoride varnish toothpaste mouthwash diet sugar intake smoking
cessation discussed options risks benefits costs consent given verbally written signed estimate provided medical history
updated checked allergies penicillin latex none known medication warfarin blood pressure tablets asthma inhaler diabetes
type two controlled local anaesthetic lidocaine adrenaline articaine infiltration block buccal lingual palatal distal
mesial occlusal cervical margin caries secondary recurrent fractured cusp tooth wear erosion attrition abrasion
sensitivity cold hot sweet pain spontaneous night woke painkillers ibuprofen paracetamol antibiotic amoxicillin
metronidazole prescribed swelling abscess drained extraction socket sutured haemostasis achieved post operative
instructions bitewing periapical panoramic radiograph taken justified reported bone levels horizontal vertical loss
furcation mobility grade pocket depths basic periodontal score impression shade taken laboratory fit checked occlusion
adjusted cemented temporary permanent glass ionomer referral orthodontic specialist hospital letter sent received
appointment cancelled failed attend late rebooked reminder text phoned message left parent guardian present child
anxious behaviour good tell show do sealant deciduous erupting unerupted impacted wisdom pericoronitis irrigated
chlorhexidine dry socket dressing placed removed next visit six months three week insurance claim submitted approved
payment plan balance outstanding receipt card cash account statement the and with for was were has had not at from by to
of in a an is as be will should may if when after before during further under over without within then also as well`))
)

// word is a word and its separating space in a fixed slot, so that it is copied as two machine words.
type word struct {
	text [16]byte
	n    int
}

func makeVocabulary(list []string) [256]word {
	var v [256]word
	for i := range v {
		w := list[i*len(list)/len(v)]
		v[i].n = copy(v[i].text[:], w+" ")
	}
	return v
}

// appendWords appends n bytes of words, the last one cut short where it must be.
func appendWords(dst []byte, r *rng, n int) []byte {
	start := len(dst)
	dst = grow(dst, n+16)[:start+n+16]
	putWords(dst[start:], n, r)
	return dst[:start+n]
}

// putWords fills b[:n]; b must have 16 bytes more than that.
func putWords(b []byte, n int, r *rng) {
	for pos := 0; pos < n; {
		z := r.next()
		for range 8 {
			w := &vocabulary[z&255]
			*(*[16]byte)(b[pos:]) = w.text
			if pos += w.n; pos >= n {
				break
			}
			z >>= 8
		}
	}
}

// patient is derived from its place in the register.
type patient struct {
	id          int
	last, first string
	birth       int // days before the first day
}

func newPatient(seed uint64, at int) patient {
	r := newRNG(seed, 'P', uint64(at))
	return patient{
		id:    20011 + 13*at + r.below(13),
		last:  surnames[r.below(len(surnames))],
		first: firstNames[r.below(len(firstNames))],
		birth: 1200 + r.below(28000),
	}
}

func (p patient) number() string { return fmt.Sprintf("%06d", p.id) }
func (p patient) born() string   { return Date(0).AddDate(0, 0, -p.birth).Format("20060102") }
func (p patient) bucket() string { return fmt.Sprintf("%04d", p.id/100) }
func (p patient) folder() string { return p.last + "_" + p.first + "_" + p.number() }
