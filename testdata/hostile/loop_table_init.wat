;; attacks: limits.deadline and limits.fuel, with table.init of ten thousand elements
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; with: fuel=5000000
;; gets: resource_exhausted limit=fuel
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (table $t 10000 funcref)
  (func $f)
  (elem $e func
    ;; repeat 1000
    $f $f $f $f $f $f $f $f $f $f
    ;; end
    )
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (loop
      ;; repeat 500
      (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 10000))
      ;; end
      (br 0))
    (unreachable)))
