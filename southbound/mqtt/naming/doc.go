// Package naming makes names of what sensors call themselves and their points. The
// alphabets are small, so different originals may make one name: a [Book] tells them
// apart, and knows them again. It has no lock and does no input or output.
package naming
