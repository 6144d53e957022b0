package main

import (
	"fmt"
	"os"

	"github.com/sallyport-dev/gateway/middleware/config"
)

// journalDir returns the directory of the journal that a command is about: its
// argument, or where the configuration's step record writes.
func journalDir(args []string, configFile string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	dir, err := stepDir(configFile, "record")
	if err != nil {
		return "", fmt.Errorf("%w (name the journal's directory, or the configuration with -config)", err)
	}
	return dir, nil
}

// stepDir returns the directory in which a step of the configuration writes.
func stepDir(configFile, step string) (string, error) {
	f, err := readConfig(configFile)
	if err != nil {
		return "", err
	}
	dir := ""
	for _, s := range f.Steps {
		if s.Name != step {
			continue
		}
		var c struct {
			Dir string `yaml:"dir"`
		}
		if err := s.Settings.Peek(&c); err != nil {
			return "", s.Settings.Fail("step "+step, err)
		}
		if dir != "" && dir != c.Dir {
			return "", fmt.Errorf("%s: there are several steps %s: name the directory of one", configFile, step)
		}
		dir = c.Dir
	}
	if dir == "" {
		return "", fmt.Errorf("%s: no step %s with a dir", configFile, step)
	}
	return dir, nil
}

// readConfig reads a configuration without building anything: whoever reads a
// journal need not have the gateway's keys.
func readConfig(path string) (*config.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var s settings
	file, err := config.Read(f, path, s.sections())
	if err != nil {
		return nil, lines(err)
	}
	return file, nil
}
