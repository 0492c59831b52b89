//go:build wasip1

// Command office is as large as plugins get: it carries a spreadsheet library
// and a PDF library.
package main

import (
	"strings"

	pdf "github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/xuri/excelize/v2"

	"github.com/sallyport-dev/sallyport/sdk"
)

func init() {
	model.ConfigPath = "disable" // it would write settings to the home folder
	sdk.Tool("sheet", "Writes a word to a spreadsheet and reads it back.", func(_ sdk.Context, in struct {
		Word string `json:"word"`
	}) (string, error) {
		f := excelize.NewFile()
		if err := f.SetCellValue("Sheet1", "A1", in.Word); err != nil {
			return "", err
		}
		return f.GetCellValue("Sheet1", "A1")
	})
	sdk.Tool("pages", "Counts the pages of a PDF document.", func(_ sdk.Context, in struct {
		Document string `json:"document"`
	}) (struct {
		Pages int `json:"pages"`
	}, error) {
		var out struct {
			Pages int `json:"pages"`
		}
		var err error
		out.Pages, err = pdf.PageCount(strings.NewReader(in.Document), nil)
		return out, err
	})
}

func main() {}
