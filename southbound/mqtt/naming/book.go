package naming

import "maps"

// Book knows which original has which name. The zero Book is empty. It is for those
// originals whose name is another text, or might be that of another original.
type Book struct {
	names  map[string]string // by original
	owners map[string]string // originals, by name
}

// NewBook returns a book of names by original.
func NewBook(names map[string]string) Book {
	var b Book
	for original, name := range names {
		b.Put(original, name)
	}
	return b
}

// Put writes down that an original has a name.
func (b *Book) Put(original, name string) {
	if b.names == nil {
		b.names, b.owners = make(map[string]string), make(map[string]string)
	}
	b.names[original], b.owners[name] = name, original
}

// Name returns the name of an original, if it is in the book.
func (b *Book) Name(original string) (string, bool) {
	name, ok := b.names[original]
	return name, ok
}

// Owner returns the original that has a name, if it is in the book.
func (b *Book) Owner(name string) (string, bool) {
	original, ok := b.owners[name]
	return original, ok
}

// Len returns how many originals are in the book.
func (b *Book) Len() int { return len(b.names) }

// All returns a copy of the names, by original.
func (b *Book) All() map[string]string { return maps.Clone(b.names) }

// TellApart gives original another name than plain, which owner has, and writes
// both down. apart is [DeviceApart] or [PointApart].
func (b *Book) TellApart(original, plain, owner string, apart func(s string, digits int) string) string {
	b.Put(owner, plain)
	name := apart(original, 4)
	for digits := 4; digits <= 16; digits += 4 {
		name = apart(original, digits)
		if other, taken := b.Owner(name); !taken || other == original {
			break
		}
	}
	b.Put(original, name)
	return name
}
