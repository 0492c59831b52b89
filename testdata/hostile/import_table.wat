;; attacks: admission.imports, with a table that is somebody else's, and the functions in it
;; with: nothing
;; gets: invalid_argument at=compile
;; says: env.table
;; control: raw: answers 127979059635571
(module
  (import "env" "table" (table 1 funcref))
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (call_indirect (result i64) (i32.const 0)))))
