// Package tree reads a YAML text into a tree whose values know where they stand,
// and works on such trees: merging, writing out ranges, cutting texts at their
// variables.
//
//	text ─▶ source (UTF-8, not too deep) ─▶ YAML parser ─▶ Node, or Problem
//
// It is pure: who calls it reads the files. It alone knows the YAML parser, and
// takes from it what stands in the text: numbers, bools and nulls of other
// versions of YAML are text here. Anchors, aliases, tags, merge keys, directives
// and a second document are refused. A syntax error is told in words for people,
// found by a look at the line, see explain.
package tree
