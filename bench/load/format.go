package main

import (
	"bytes"
	"fmt"
	"strings"
)

// format is one provider's stream: what comes first, what stands around each text, what comes last.
type format struct {
	head, before, after, tail []byte
}

func formatOf(path string) *format {
	switch strings.TrimPrefix(path, "v1/") {
	case "chat/completions":
		return &chat
	case "messages":
		return &messages
	}
	return nil
}

// chunk is the nth of a stream that is made beforehand: words and padding of changing length.
func (f *format) chunk(nth int) []byte {
	text := " " + strings.Repeat("word", 1+nth%3) + fmt.Sprint(nth)
	after := bytes.Replace(f.after, []byte(padding), []byte(padding[nth%len(padding):]), 1)
	return bytes.Join([][]byte{f.before, []byte(text), after}, nil)
}

const padding = "q7Hs0Zk2Vb"

// About 300 bytes a chunk.
const (
	chatStart = `data: {"id":"chatcmpl-Kq3VtZx8mWcYpL0RbNfJd5Hs2EaUg","object":"chat.completion.chunk",` +
		`"created":1760000000,"model":"bench-4-2026-01-01",` +
		`"system_fingerprint":"fp_0a1b2c3d4e","choices":[{"index":0,"delta":`
	chatEnd = `,"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"` + padding + `"}` +
		"\n\n"
)

var chat = format{
	head:   []byte(chatStart + `{"role":"assistant","content":"","refusal":null}` + chatEnd),
	before: []byte(chatStart + `{"content":"`),
	after:  []byte(`"}` + chatEnd),
	tail: []byte(chatStart + `{}` +
		strings.Replace(chatEnd, `"finish_reason":null`, `"finish_reason":"stop"`, 1) +
		"data: [DONE]\n\n"),
}

var messages = format{
	head: []byte(event("message_start", `"message":{"id":"msg_01","type":"message",`+
		`"role":"assistant","model":"bench-4","content":[],"stop_reason":null,"stop_sequence":null,`+
		`"usage":{"input_tokens":9,"output_tokens":1}}`) +
		event("content_block_start", `"index":0,"content_block":{"type":"text","text":""}`)),
	before: []byte("event: content_block_delta\ndata: " +
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"`),
	after: []byte("\"}}\n\n"),
	tail: []byte(event("content_block_stop", `"index":0`) +
		event("message_delta", `"delta":{"stop_reason":"end_turn","stop_sequence":null},`+
			`"usage":{"output_tokens":9}`) +
		event("message_stop", `"usage":null`)),
}

func event(name, fields string) string {
	return fmt.Sprintf("event: %s\ndata: {\"type\":%q,%s}\n\n", name, name, fields)
}
