;; attacks: admission.bounds, with sixty thousand locals in one function
;; with: nothing
;; gets: resource_exhausted at=compile
;; says: locals
;; bytes: 10 01 01 7e 41 02 1a => 01 e0 d4 03 7e 41 02 1a
;; control: raw: answers 1
(module
  (memory (export "memory") 1)
  (func (local i64) (drop (i32.const 2)))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
