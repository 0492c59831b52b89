// Command files is the plugin that works with the workspace's files for an
// agent: it reads, writes, edits and lists. What a zone allows is the host's to
// enforce; its reason is what the agent gets to read.
package main

import "github.com/sallyport-dev/sallyport/sdk"

func init() {
	sdk.Tool("read", `Read a file of the workspace, such as upload/data.csv or output/report.md.

Text comes as it is, in pieces: offset and limit choose lines, and a note says how to go on. Images are shown. Other files are told by size and type, with a link; read those with Python.`,
		read, sdk.ReadOnly())
	sdk.Tool("write", `Write a text file into the workspace, with the folders it needs.

output/ and deploy/ are for results and take everything. store/ keeps notes: new files and additions at the end only. upload/ holds the user's files and is read-only. To change a part of a file use files_edit.`,
		write)
	sdk.Tool("edit", `Replace text in a file of output/ or deploy/: old has to be there exactly as given, white space included, and exactly count times. Otherwise nothing is changed, and the answer says where the text is or what comes near.`,
		edit)
	sdk.Tool("list", `List the files of the workspace, or of a folder such as output/charts, with sizes and times. The zones are upload/ (the user's files, read-only), output/ (results), store/ (notes, append-only) and deploy/ (what is published).`,
		list, sdk.ReadOnly())
}

func main() {}
