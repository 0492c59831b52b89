//go:build !wasip1

package main

func trap() { panic("there is no trap outside a sandbox") }
