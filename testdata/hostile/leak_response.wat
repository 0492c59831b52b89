;; attacks: state.call, with a response that it doesn't fetch
;; with: dispatch=100
;; gets: answers 100
;; after: answers -4
;; control: raw, twice, with dispatch=100: answers 100
(module
  (import "sallyport:call" "config" (func $config (param i32 i32 i32 i32) (result i64)))
  (import "sallyport:call" "response" (func $response (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (call $response (i32.const 2048) (i32.const 1000))))))
    (call $answer (call $config (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))
