;; attacks: admission.bounds, with two groups of two million locals each
;; bytes: 10 02 01 7f 01 7e 41 01 1a => 02 ff ff 7f 7f ff ff 7f 7e 41 01 1a
;; with: nothing
;; gets: resource_exhausted at=compile
;; says: locals
;; control: raw: allocates 100 MiB
(module
  (memory (export "memory") 1)
  (func (local i32) (local i64) (drop (i32.const 1)))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
