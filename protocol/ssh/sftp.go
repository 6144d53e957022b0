package ssh

import "io"

type sftp struct{}

func newSFTP(*channel) *sftp                          { return nil }
func (*sftp) requests(r io.Reader, w io.Writer) error { _, err := io.Copy(w, r); return err }
func (*sftp) replies(w io.Writer, r io.Reader) error  { _, err := io.Copy(w, r); return err }
func (*sftp) end()                                    {}
