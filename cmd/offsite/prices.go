package main

import (
	"fmt"
	"strings"

	"offsite/cmd/offsite/config"
)

// pricesOf is when the list prices below were looked up. They change, differ by
// region, and leave out taxes, discounts and what reading back costs; they are here
// to compare and to find a mistake of a factor of ten before anything is locked.
const pricesOf = "November 2026, US regions"

// price is one service's list price in US dollars.
type price struct {
	name     string
	gigabyte float64 // a GB for a month
	write    float64 // 1,000 objects stored
	list     float64 // 1,000 listings
	read     float64 // 1,000 objects read
	raise    float64 // 1,000 leases raised
	minDays  int     // an object is paid for so many days at least
}

var listPrices = map[string]price{
	"aws":    {"Amazon S3 Standard", 0.023, 0.005, 0.005, 0.0004, 0.005, 0},
	"wasabi": {"Wasabi", 0.007, 0, 0, 0, 0, 90},
	"b2":     {"Backblaze B2", 0.006, 0, 0.004, 0.0004, 0, 0},
	"r2":     {"Cloudflare R2 Standard", 0.015, 0.0045, 0.0045, 0.00036, 0, 0},
	"gcs":    {"Google Cloud Storage Standard", 0.020, 0.005, 0.005, 0.0004, 0.005, 0},
	"azure":  {"Azure Blob hot", 0.0208, 0.0055, 0.0055, 0.00044, 0.00044, 0},
}

// priceOf finds the price of the service that a store is at.
func priceOf(s config.Store) (price, bool) {
	service := map[string]string{"gs": "gcs", "azblob": "azure"}[s.Address.Scheme]
	if s.Address.Scheme == "s3" {
		service = "aws"
		for part, name := range map[string]string{"wasabisys.com": "wasabi", "backblazeb2.com": "b2", "r2.cloudflarestorage.com": "r2"} {
			if strings.Contains(s.Endpoint, part) {
				service = name
			}
		}
		if s.Endpoint != "" && service == "aws" && !strings.Contains(s.Endpoint, "amazonaws.com") {
			return price{}, false
		}
	}
	p, ok := listPrices[service]
	return p, ok
}

// What a night asks for, besides one write for each new pack; the tests of requests
// hold these.
const (
	packBytes      = 16_000_000
	nightLists     = 4
	nightReads     = 6
	nightWrites    = 5
	raisedDaily    = 0.09 // of all packs: the slack is 7 to 14 days
	daysOfMonth    = 30.4
	indexOfStored  = 1.02 // index, tables and padding beside the packs' content
	bytesInAGB     = 1e9
	thousandOfThem = 1000
)

// monthly is what a store costs a month, with size bytes in it and daily bytes new
// each night.
func (p price) monthly(size, daily float64) (storage, requests float64) {
	kept := size
	if p.minDays > 0 {
		kept = max(kept, daily*float64(p.minDays))
	}
	storage = kept * indexOfStored / bytesInAGB * p.gigabyte
	packs := daily / packBytes
	night := (packs+nightWrites)*p.write + nightLists*p.list + nightReads*p.read + size/packBytes*raisedDaily*p.raise
	return storage, night * daysOfMonth / thousandOfThem
}

// costLine says in one line what a store will cost.
func costLine(s config.Store, size, daily float64) string {
	p, ok := priceOf(s)
	if !ok {
		return "no list price is known for this service"
	}
	storage, requests := p.monthly(size, daily)
	line := fmt.Sprintf("%s, %s stored and %s new a night: about $%.2f a month for storage and $%.2f for requests, at list prices of %s",
		p.name, bytesText(int64(size)), bytesText(int64(daily)), storage, requests, pricesOf)
	if p.minDays > 0 {
		line += fmt.Sprintf("; an object is paid for %d days at least", p.minDays)
	}
	return line
}
