package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The file is read as a syntax tree and walked beside the struct types, because
// a plain decode stops at the first mistake, names Go types and has no place for
// the mistakes of own types.

// decoder collects every mistake instead of stopping at the first.
type decoder struct {
	file file
	data []byte
	at   map[string]position // where the value of each key stands
	errs Errors
}

func newDecoder(name string, data []byte) *decoder {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // Windows editors add it
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	d := &decoder{file: file{name: name}, data: data, at: map[string]position{}}
	if len(data) <= MaxFile {
		d.file.lines = strings.Split(string(data), "\n")
	}
	return d
}

const quoteHint = `a backslash inside "..." begins an escape: write Windows paths in single quotes, such as 'C:\Backup'`

// parse returns the mapping at the top, or nil after recording why not.
func (d *decoder) parse() *ast.MappingNode {
	if len(d.data) > MaxFile {
		d.problem(position{}, fmt.Sprintf("is larger than %d KiB", MaxFile>>10), "this does not look like a configuration file")
		return nil
	}
	if !utf8.Valid(d.data) {
		d.problem(position{}, "is not UTF-8 text", "save it as UTF-8")
		return nil
	}
	tree, err := parser.ParseBytes(d.data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil
	}
	var docs []*ast.DocumentNode
	for _, doc := range tree.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType && doc.Body.Type() != ast.NullType {
			docs = append(docs, doc)
		}
	}
	switch {
	case len(docs) == 0:
		d.problem(position{}, "is empty", "offsite init writes a commented one")
		return nil
	case len(docs) > 1:
		d.problem(place(docs[1].Body), "a second document begins here", "keep one document: remove the line ---")
		return nil
	}
	m, ok := docs[0].Body.(*ast.MappingNode)
	if !ok {
		d.problem(place(docs[0].Body), "the file must be a list of keys and values", "begin with the line version: 1")
		return nil
	}
	return m
}

// syntax records what the YAML parser refused.
func (d *decoder) syntax(err error) {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		d.problem(position{}, "is not YAML", "")
		return
	}
	at := position{y.GetToken().Position.Line, y.GetToken().Position.Column}
	problem, hint := y.GetMessage(), ""
	if at.line > 0 && at.line <= len(d.file.lines) {
		switch line := d.file.lines[at.line-1]; {
		case strings.Contains(line, `"`) && strings.Contains(line, `\`):
			hint = quoteHint
		case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
			problem, hint = "the line begins with a tab", "indent with spaces"
		case strings.Contains(problem, "must be specified"):
			problem, hint = "a bracket was not closed", "look at the lines above for a [ or { without its end"
		}
	}
	d.problem(at, problem, hint)
}

func place(n ast.Node) position {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key // a mapping's own token is its first colon
	}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return position{}
	}
	t := n.GetToken()
	return position{t.Position.Line, t.Position.Column}
}

// structure reads the whole file into c.
func (d *decoder) structure(m *ast.MappingNode, c *Config) {
	d.block(m, reflect.ValueOf(c).Elem(), "", position{1, 1})
}

// block reads the keys of a mapping into a struct.
func (d *decoder) block(m *ast.MappingNode, into reflect.Value, path string, at position) {
	fields, names := keysOf(into.Type())
	seen := map[string]int{}
	for _, v := range m.Values {
		key := v.Key.GetToken().Value
		where := place(v.Key)
		i, ok := fields[key]
		if !ok {
			d.unknownKey(where, key, path, names)
			continue
		}
		if line := seen[key]; line > 0 {
			d.problem(where, fmt.Sprintf("key %q stands twice", key), fmt.Sprintf("the first is in line %d: keep one of them", line))
			continue
		}
		seen[key] = where.line
		full := join(path, key)
		d.at[full] = where
		if v.Value != nil && place(v.Value).line > 0 {
			d.at[full] = place(v.Value)
		}
		field := into.Type().Field(i)
		d.value(v.Value, into.Field(i), full, where, field.Tag)
	}
	for _, name := range names {
		if into.Type().Field(fields[name]).Tag.Get("need") != "" && seen[name] == 0 {
			d.problem(at, fmt.Sprintf("the key %q is missing", join(path, name)), "offsite init writes a commented file with every key")
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// keysOf returns the keys that a struct takes and their order.
func keysOf(t reflect.Type) (fields map[string]int, names []string) {
	fields = map[string]int{}
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "" {
			fields[key] = i
			names = append(names, key)
		}
	}
	return fields, names
}

func (d *decoder) unknownKey(at position, key, path string, names []string) {
	where := "at the top level"
	if path != "" {
		where = "in " + path
	}
	hint := "the keys there are " + strings.Join(names, ", ")
	if near := Nearest(key, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	d.problem(at, fmt.Sprintf("there is no key %q %s", key, where), hint)
}

// value reads one value of any kind.
func (d *decoder) value(n ast.Node, into reflect.Value, path string, at position, tag reflect.StructTag) {
	if n != nil && place(n).line > 0 && n.Type() != ast.NullType {
		at = place(n)
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.problem(at, "anchors, aliases and tags are not read here", "write the value out")
		return
	}
	if into.Kind() == reflect.Struct && !isText(into) {
		switch m := n.(type) {
		case *ast.MappingNode:
			d.block(m, into, path, at)
		default:
			d.problem(at, fmt.Sprintf("%s must be a block of keys, not %s", path, kindOf(n)), "put its keys on the following lines, indented by two spaces")
		}
		return
	}
	if into.Kind() == reflect.Slice {
		d.list(n, into, path, at, tag)
		return
	}
	text, ok := d.scalar(n, path, at, into)
	if !ok {
		return
	}
	if err := setScalar(into, text, tag); err != nil {
		var v *ValueError
		if errors.As(err, &v) {
			d.problem(at, path+": "+v.Problem, v.Hint)
			return
		}
		d.problem(at, path+": "+err.Error(), "")
	}
}

func (d *decoder) list(n ast.Node, into reflect.Value, path string, at position, tag reflect.StructTag) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.problem(at, fmt.Sprintf("%s must be a list, not %s", path, kindOf(n)), "write [first, second], or one line for each, beginning with a hyphen")
		return
	}
	if limit, err := strconv.Atoi(tag.Get("max")); err == nil && len(s.Values) > limit {
		d.problem(at, fmt.Sprintf("%s has %d entries", path, len(s.Values)), fmt.Sprintf("at most %d are allowed", limit))
		return
	}
	if len(s.Values) == 0 && tag.Get("need") != "" {
		d.problem(at, path+" is empty", "name at least one")
		return
	}
	out := reflect.MakeSlice(into.Type(), len(s.Values), len(s.Values))
	for i, v := range s.Values {
		each := fmt.Sprintf("%s[%d]", path, i)
		d.at[each] = place(v)
		d.value(v, out.Index(i), each, at, "")
	}
	into.Set(out)
}

// scalar returns the text of a single value.
func (d *decoder) scalar(n ast.Node, path string, at position, into reflect.Value) (string, bool) {
	switch v := n.(type) {
	case nil, *ast.NullNode:
		d.problem(at, path+" has no value", "give "+expects(into)+", or remove the line")
	case *ast.StringNode:
		if v.GetToken().Type == token.DoubleQuoteType && escapes(v.GetToken().Origin) {
			d.problem(at, path+" has an escape", quoteHint)
			return "", false
		}
		if strings.ContainsFunc(v.Value, unicode.IsControl) {
			d.problem(at, path+" has a control character", "write it on one line, without tabs")
			return "", false
		}
		return v.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	case *ast.BoolNode:
		if into.Kind() == reflect.Bool {
			return n.GetToken().Value, true
		}
		d.problem(at, fmt.Sprintf("%s must be %s, not true or false", path, expects(into)), "")
	default:
		d.problem(at, fmt.Sprintf("%s must be %s, not %s", path, expects(into), kindOf(n)), "")
	}
	return "", false
}

// escapes reports whether a double-quoted text uses any escape but \\ and \". No
// value here needs one, and in a Windows path they go wrong in silence: "C:\new"
// holds a line end, and the parser reads "C:\Users" without an error.
func escapes(quoted string) bool {
	quoted = strings.NewReplacer(`\\`, "", `\"`, "").Replace(quoted)
	return strings.Contains(quoted, `\`)
}

// setScalar stores a text in a field of any scalar kind, within its bounds.
func setScalar(into reflect.Value, text string, tag reflect.StructTag) error {
	if u, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return err
		}
		if v, ok := into.Addr().Interface().(*Duration); ok {
			return v.within(tag.Get("min"), tag.Get("max"))
		}
		return nil
	}
	switch into.Kind() {
	case reflect.String:
		if text == "" {
			return &ValueError{"is empty", "give a value, or remove the line"}
		}
		into.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return &ValueError{fmt.Sprintf("%q is neither true nor false", text), ""}
		}
		into.SetBool(text == "true")
	case reflect.Int:
		v, err := strconv.Atoi(text)
		if err != nil {
			return &ValueError{fmt.Sprintf("%q is not a whole number", text), ""}
		}
		lo, _ := strconv.Atoi(tag.Get("min"))
		hi, _ := strconv.Atoi(tag.Get("max"))
		if v < lo || v > hi {
			hint := fmt.Sprintf("write a number from %d to %d", lo, hi)
			if lo == hi {
				hint = fmt.Sprintf("this program reads %d", lo)
			}
			return &ValueError{fmt.Sprintf("%d is out of bounds", v), hint}
		}
		into.SetInt(int64(v))
	default:
		panic("config: a field of kind " + into.Kind().String())
	}
	return nil
}

func isText(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

// expects says in words what a field takes.
func expects(into reflect.Value) string {
	if e, ok := into.Addr().Interface().(interface{ expects() string }); ok {
		return e.expects()
	}
	switch into.Kind() {
	case reflect.Int:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	}
	return "text"
}

// kindOf says in words what stands in the file.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode:
		return "a block of keys"
	case *ast.SequenceNode:
		return "a list"
	case *ast.LiteralNode:
		return "a block of lines"
	case *ast.StringNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	}
	return "this"
}
