;; attacks: abi.imports, with a room for the response across the end of what 32 bits address
;; with: nothing
;; gets: plugin_failed
;; says: outside the memory
;; control: raw: calls sallyport:call.log
(module
  (import "sallyport:call" "log" (func $log (param i32 i32 i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (call $log (i32.const 0) (i32.const 0) (i32.const -8) (i32.const 100)))))
