;; attacks: limits.stack_kib, with two functions of which neither calls itself, one of them through a table
;; with: stack_kib=64
;; gets: resource_exhausted limit=stack_kib
;; control: raw: allocates 100 MiB
(module
  (memory (export "memory") 1)
  (type $t (func (param i64) (result i64)))
  (table 1 funcref)
  (elem (i32.const 0) $b)
  (func $a (type $t) (i64.add (call_indirect (type $t) (i64.add (local.get 0) (i64.const 1)) (i32.const 0)) (local.get 0)))
  (func $b (type $t) (i64.mul (call $a (i64.sub (local.get 0) (i64.const 1))) (local.get 0)))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (call $a (i64.const 0)))))
