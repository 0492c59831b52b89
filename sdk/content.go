package sdk

import (
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Result is what a tool answers with, in the shape of an MCP tool result.
type Result = abi.Result

// A Content is one block of a Result.
type Content = abi.Content

// ResultOf returns the Result of some blocks, shown in their order.
func ResultOf(blocks ...Content) Result {
	if blocks == nil {
		blocks = []Content{}
	}
	return Result{Content: blocks}
}

// Text returns a block of text. Bytes that aren't UTF-8 reach the agent as
// U+FFFD.
func Text(text string) Content { return Content{Type: abi.ContentText, Text: text} }

// Image returns an image of a MIME type such as "image/png". Bytes are copied
// when the call's answer is written, not before.
func Image(mime string, data []byte) Content {
	return Content{Type: abi.ContentImage, MIMEType: mime, Data: data}
}

// Link returns a link to a file of the workspace, such as /output/chart.png,
// for results that are large or not text. It fails as Reason does when the
// file isn't there.
func (c Context) Link(name string) (Content, error) {
	info, err := os.Stat(c.Path(name))
	if err != nil {
		return Content{}, c.Reason(err)
	}
	name = path.Clean("/" + name)
	uri := url.URL{Scheme: strings.TrimSuffix(abi.WorkspaceURI, ":"), Path: name, OmitHost: true}
	return Content{
		Type:     abi.ContentLink,
		URI:      uri.String(),
		Name:     path.Base(name),
		MIMEType: MIMEType(name),
		Size:     info.Size(),
	}, nil
}

// MIMEType returns the MIME type that a file's name tells,
// "application/octet-stream" when it tells none.
func MIMEType(name string) string {
	if typ, ok := mimeTypes[strings.ToLower(path.Ext(name))]; ok {
		return typ
	}
	return "application/octet-stream"
}

// A sandbox has no /etc/mime.types to read, so the table is here.
var mimeTypes = map[string]string{
	".avif": "image/avif",
	".bib":  "application/x-bibtex",
	".bmp":  "image/bmp",
	".c":    "text/x-c",
	".css":  "text/css",
	".csv":  "text/csv",
	".doc":  "application/msword",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".gif":  "image/gif",
	".go":   "text/x-go",
	".gz":   "application/gzip",
	".htm":  "text/html",
	".html": "text/html",
	".jpeg": "image/jpeg",
	".jpg":  "image/jpeg",
	".js":   "text/javascript",
	".json": "application/json",
	".log":  "text/plain",
	".md":   "text/markdown",
	".mjs":  "text/javascript",
	".mp3":  "audio/mpeg",
	".mp4":  "video/mp4",
	".pdf":  "application/pdf",
	".png":  "image/png",
	".ppt":  "application/vnd.ms-powerpoint",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".py":   "text/x-python",
	".sh":   "application/x-sh",
	".svg":  "image/svg+xml",
	".tar":  "application/x-tar",
	".tex":  "application/x-tex",
	".tif":  "image/tiff",
	".tiff": "image/tiff",
	".toml": "application/toml",
	".ts":   "text/x-typescript",
	".tsv":  "text/tab-separated-values",
	".txt":  "text/plain",
	".wasm": "application/wasm",
	".wav":  "audio/wav",
	".webm": "video/webm",
	".webp": "image/webp",
	".xls":  "application/vnd.ms-excel",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".xml":  "application/xml",
	".yaml": "application/yaml",
	".yml":  "application/yaml",
	".zip":  "application/zip",
}
