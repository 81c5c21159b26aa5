package plan

// SunSpecBases are where the list of a SunSpec device may begin (SunSpec Device
// Information Model Specification V1.0, section 6.2).
var SunSpecBases = []int{40000, 50000, 0}

// What a list has (the same, section 6).
const (
	SunSpecMark = 0x53756e53 // "SunS", in the two registers before the first model
	SunSpecEnd  = 0xffff     // the id behind the last model
	SunSpecMost = 256        // models; a list that has no end is broken
)
