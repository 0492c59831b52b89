;; attacks: limits.output_bytes
;; with: output_bytes=1000
;; gets: resource_exhausted limit=output_bytes
;; control: with output_bytes=40000: answers 40000 bytes
;; control: raw: answers 40000 bytes
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (i64.const 40000)))
