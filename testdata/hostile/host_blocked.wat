;; attacks: limits.deadline and cancellation, by waiting in an operation that doesn't end by itself
;; with: deadline=200ms modules=sallyport:kernel dispatch=blocks
;; gets: deadline_exceeded limit=deadline
;; with: cancel=100ms modules=sallyport:kernel dispatch=blocks
;; gets: canceled
;; control: raw, with dispatch=blocks: runs on
(module
  (import "sallyport:kernel" "execute" (func $execute (param i32 i32 i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (call $execute (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))
