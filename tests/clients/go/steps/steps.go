// Package steps tells of each step of a client whether it came out as it does on the real service.
package steps

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Steps are those of one client.
type Steps struct {
	client string
	failed bool
}

// Of makes the steps of a client.
func Of(client string) *Steps {
	return &Steps{client: client}
}

// Try runs a step and prints one line. A field that the answer lacks is a nil pointer in Microsoft's models.
func (s *Steps) Try(name string, step func() error) {
	err := func() (err error) {
		defer func() {
			if reason := recover(); reason != nil {
				err = fmt.Errorf("the answer lacks something that the step reads: %v", reason)
			}
		}()
		return step()
	}()
	if err != nil {
		s.failed = true
		said := strings.Join(strings.Fields(err.Error()), " ")
		fmt.Printf("not ok %s %s: %s\n", s.client, name, said)
		return
	}
	fmt.Printf("ok %s %s\n", s.client, name)
}

// Exit ends the process: with 1 if a step failed.
func (s *Steps) Exit() {
	if s.failed {
		os.Exit(1)
	}
	os.Exit(0)
}

// Same is an error unless both are the same.
func Same[T comparable](what string, expected, came T) error {
	if expected == came {
		return nil
	}
	return fmt.Errorf("expected %s %v, came %v", what, expected, came)
}

// Is is an error unless the condition holds.
func Is(what string, holds bool) error {
	if holds {
		return nil
	}
	return errors.New("expected " + what)
}

// Setting reads an environment variable that the process cannot do without.
func Setting(name string) string {
	value := os.Getenv(name)
	if value == "" {
		fmt.Fprintf(os.Stderr, "set the environment variable %s; tests/clients/README.md lists them\n", name)
		os.Exit(2)
	}
	return value
}
