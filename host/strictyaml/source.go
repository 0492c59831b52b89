package strictyaml

import (
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

type position struct{ line, column int }

// A Source says where in a document the values that Decode read stood, so that
// a caller that finds one of them wrong can name the place.
type Source struct{ at map[string]position }

// Errorf makes an error about the value at path, such as plugins[0].digest. A
// path that isn't in the document, since the value is missing, stands for the
// nearest one above it that is.
func (s *Source) Errorf(path, format string, args ...any) *abi.Error {
	for {
		if p, ok := s.at[path]; ok {
			return fail(p, format, args...)
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// fail makes an error at a position.
func fail(p position, format string, args ...any) *abi.Error {
	return abi.Errorf(abi.CodeInvalidArgument, "%d:%d: %s", p.line, p.column, fmt.Sprintf(format, args...))
}

// InFile puts the file's name before the position of an error that Decode or a
// Source made. Nil stays nil.
func InFile(file string, err error) error {
	if err == nil {
		return nil
	}
	e := *abi.AsError(err)
	e.Message = file + ":" + e.Message
	return &e
}
