// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// config is the configuration file: where there are daemons.
type config struct {
	path    string
	Current string          `yaml:"current-context,omitempty" json:"current-context,omitempty"`
	All     []configContext `yaml:"contexts" json:"contexts"`
}

// configContext is one daemon, and how to speak to it. Files are absolute, or relative to the configuration's.
type configContext struct {
	Name   string `yaml:"name" json:"name"`
	target `yaml:",inline"`
}

// target is where a daemon listens, and with what to show who one is.
type target struct {
	Host       string `yaml:"host" json:"host"`
	Cert       string `yaml:"cert,omitempty" json:"cert,omitempty"`
	Key        string `yaml:"key,omitempty" json:"key,omitempty"`
	CA         string `yaml:"ca,omitempty" json:"ca,omitempty"`
	ServerName string `yaml:"server-name,omitempty" json:"server-name,omitempty"`
}

// configPath is where the file is; it need not be there.
func configPath() (string, error) {
	if p := os.Getenv("TRANSITCTL_CONFIG"); p != "" {
		return p, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the configuration: %w: name it with $TRANSITCTL_CONFIG", err)
	}
	return filepath.Join(dir, "transitctl", "config.yaml"), nil
}

// readConfig reads the file; an empty one where there is none.
func readConfig() (*config, error) {
	path, err := configPath()
	if err != nil {
		return &config{}, nil //nolint:nilerr // without a home there is no file either
	}
	cfg := &config{path: path, All: []configContext{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, nil
	} else if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	r := reader{file: path}
	document, err := r.document(text)
	if err != nil {
		return nil, err
	}
	if err := r.known(document, "", "current-context", "contexts"); err != nil {
		return nil, err
	}
	for _, e := range entries(document) {
		if e.key.Value == "contexts" {
			for i, n := range list(e.value) {
				if err := r.known(n, fmt.Sprintf("contexts[%d]", i), "name", "host", "cert", "key", "ca", "server-name"); err != nil {
					return nil, err
				}
			}
		}
	}
	if document != nil {
		if err := document.Decode(cfg); err != nil {
			return nil, usagef("%s: %w", path, err)
		}
	}
	return cfg, nil
}

// find has a context; nil where there is none of that name.
func (cfg *config) find(name string) *configContext {
	for i := range cfg.All {
		if cfg.All[i].Name == name {
			return &cfg.All[i]
		}
	}
	return nil
}

func (cfg *config) need(name string) (*configContext, error) {
	if x := cfg.find(name); x != nil {
		return x, nil
	}
	return nil, usagef("there is no context %q in %s: see `transitctl config get-contexts`", name, cfg.path)
}

// write replaces the file by one rename, so that a reader finds the old one or the new one.
func (cfg *config) write() (err error) {
	if cfg.path == "" {
		if cfg.path, err = configPath(); err != nil {
			return err
		}
	}
	text, err := indented(cfg)
	if err != nil {
		return err
	}
	dir := filepath.Dir(cfg.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".config-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), cfg.path)
}
