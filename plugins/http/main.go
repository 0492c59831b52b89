// Command http is the plugin that sends requests over HTTP for an agent. Where
// they may go is the host's to decide, and secrets are its to add; what comes
// back is made readable here, or saved as a file.
package main

import "github.com/sallyport-dev/sallyport/sdk"

const fetchDescription = `Send a request over HTTP and read the answer: a page, an API's JSON, an image.

The operator decides which hosts, methods and ports may be reached; each redirect is decided anew, and private addresses are refused whatever their name. A refusal names the grant that is lacking: tell it to the operator, and don't try other ways around it. Credentials that the operator keeps are added by the host, so never ask for them and leave those headers out.

Text and JSON come as they are, long text cut; images are shown. To keep the whole, or anything else than text, give to, or use http_download. A status of 400 or more is shown as an error, with what the server said.`

const downloadDescription = `Download a file over HTTP into the workspace, such as output/data.csv, and get its size and SHA-256. It tells how far it has come.

What may be reached is decided as for http_fetch, redirects too. A file of output/ or deploy/ is replaced only once all of the new one is there; store/ takes new files alone. When the server refuses or breaks off, nothing is saved.`

func init() {
	sdk.Tool("fetch", fetchDescription, fetch)
	sdk.Tool("download", downloadDescription, download)
}

func main() {}
